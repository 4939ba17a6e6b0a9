"""Check by UIDs that a DICOM mask belongs to a scan, and keep no UID where it could be shown.

A scan in memory carries short hashes of its UIDs: equality is all that is asked of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.detect import IDENTITY
from pancseg.scans.dicom.header import DicomHeader


@dataclass(frozen=True)
class DicomIdentity:
    """UIDs of a scan, or those that a mask names as the scan's.

    Attributes:
        frames: of frames of reference.
        series: of series.
        instances: of images.
    """

    frames: frozenset[str] = frozenset()
    series: frozenset[str] = frozenset()
    instances: frozenset[str] = frozenset()


def identity_of_slices(headers: Sequence[DicomHeader]) -> DicomIdentity:
    """Return the identity of a series, from the headers of its slices."""
    return DicomIdentity(
        frozenset(header.frame_uid for header in headers) - {""},
        frozenset(header.series_uid for header in headers) - {""},
        frozenset(header.instance_uid for header in headers) - {""},
    )


def mark_identity(image: sitk.Image, identity: DicomIdentity) -> None:
    """Note on an image of which series it is, as hashes of UIDs."""
    parts = (identity.frames, identity.series, identity.instances)
    image.SetMetaData(IDENTITY, json.dumps([sorted(_hashed(part)) for part in parts]))


def check_belongs(named: DicomIdentity, scan: sitk.Image) -> None:
    """Refuse a mask that was drawn on another series than a scan's.

    A mask that names images must name some of the scan's, since two volumes may share the UID of a
    series; one that names a series alone, the scan's; one that names a frame of reference, the
    scan's. What one of the two does not know is not compared, and without any UID the geometry
    alone decides, as it does for a scan that is not DICOM.

    Args:
        named: UIDs that the mask names.
        scan: the scan in memory.

    Raises:
        UnusableCase: ``geometry``; the message shows no UID.
    """
    if not scan.HasMetaDataKey(IDENTITY):
        return
    frames, series, instances = map(frozenset, json.loads(scan.GetMetaData(IDENTITY)))
    how = f" (of its {len(named.instances)} images, none is one of the scan's {len(instances)})"
    pairs = (named.instances, instances, how), (named.series, series, "")
    known = next((pair for pair in pairs if pair[0] and pair[1]), None)
    if known and not _hashed(known[0]) & known[1]:
        raise UnusableCase(
            "geometry",
            f"it was drawn on another DICOM series than the scan's{known[2]}; give the series that "
            "it was drawn on, or save it as NIfTI if it fits this one too",
        )
    if named.frames and frames and not _hashed(named.frames) & frames:
        raise UnusableCase(
            "geometry",
            "its positions are in another frame of reference than the scan's, so they cannot be "
            "compared; give the series that it was drawn on, or save it as NIfTI if it fits this "
            "one too",
        )


def _hashed(uids: Iterable[str]) -> frozenset[str]:
    return frozenset(blake2b(uid.encode(), digest_size=8).hexdigest() for uid in uids)
