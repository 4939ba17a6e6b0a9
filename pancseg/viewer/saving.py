"""Save a mask that a person drew in the page: whole, on its scan's grid, with the original kept."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import RunRefused
from pancseg.running import keys
from pancseg.running.drawn import note_corrected, note_drawn, note_saved, saved_here
from pancseg.running.lock import locked
from pancseg.scans.arrays import image_like
from pancseg.scans.writing import write_partial
from pancseg.system.output_folder import STATE
from pancseg.system.whole_files import whole_files
from pancseg.viewer.masks import NONE, digest_of
from pancseg.viewer.part import Part
from pancseg.viewer.refusal import Refusal
from pancseg.viewer.session import View
from pancseg.viewer.volumes import scan_key_of

_GZIP = 16 + zlib.MAX_WBITS


class Seen(NamedTuple):
    """What the page has seen: the hash of the mask file, and the key of the scan."""

    mask: str
    scan: str


class Saved(NamedTuple):
    """What was saved.

    Attributes:
        sha256: hash of the mask file now.
        voxels: number of voxels of the region.
        volume_ml: its volume.
        kept: how many drawn voxels stay with another label, which is never overwritten.
    """

    sha256: str
    voxels: int
    volume_ml: float
    kept: int


def drawn_voxels(body: bytes, headers: Mapping[str, str], part: Part) -> NDArray[np.bool_]:
    """Return what was drawn in a part, (z, y, x).

    Args:
        body: a byte per voxel, 0 or 1, x fastest; or that packed with gzip.
        headers: of the request; ``content-encoding`` says whether it is packed.
        part: the part that was shown.

    Raises:
        Refusal: the body is of another length or kind.
    """
    if headers.get("content-encoding", "") == "gzip":
        try:
            body = zlib.decompressobj(_GZIP).decompress(body, part.voxels + 1)
        except zlib.error as error:
            raise _bad("the packed voxels are damaged") from error
    if len(body) != part.voxels:
        size = "×".join(map(str, part.size))
        more = "more than " if len(body) > part.voxels else ""
        count = min(len(body), part.voxels)
        raise _bad(f"{more}{count:,} voxels were sent, and the part shown has {size}")
    voxels = np.frombuffer(body, np.uint8).reshape(part.size[::-1])
    if voxels.max() > 1:
        raise _bad(f"a voxel is {voxels.max()}; 0 and 1 were expected")
    inside: NDArray[np.bool_] = voxels != 0
    return inside


def seen_by(headers: Mapping[str, str]) -> Seen:
    """Return what the page has seen.

    Raises:
        Refusal: the page does not say.
    """
    seen = headers.get("if-match", "").strip().removeprefix('"').removesuffix('"')
    if not seen:
        raise _bad("the header If-Match is missing: the hash of the mask file seen, or none")
    if "x-pancseg-scan" not in headers:
        raise _bad("the header X-Pancseg-Scan is missing: the key of the scan seen")
    return Seen(seen, headers["x-pancseg-scan"].strip())


def check_scan(view: View, seen: str) -> None:
    """Check that a row's scan is the one that the page has seen.

    Raises:
        Refusal: it is another one; what was drawn on the one seen does not belong to it.
    """
    if view.volume.key != seen:
        raise _other_scan(view.volume.key)


def save_mask(folder: Path, view: View, drawn: NDArray[np.bool_], seen: str) -> Saved:
    """Write a row's mask with what was drawn in a part of it; voxels elsewhere stay as they are.

    Args:
        folder: the output folder, which is locked meanwhile.
        view: the row; its mask may be changed.
        drawn: voxels of the region within the view's part, (z, y, x).
        seen: hash of the mask file that was drawn on; ``NONE`` if there was none.

    Raises:
        Refusal: the file has changed since (it is left as it is), the scan is another one, a run
            is writing into the folder, or nothing was drawn.
        OSError: the file cannot be written.
    """
    mask, path = view.mask, view.mask.file.path
    assert path is not None, "a mask without a file is not editable"
    _check_unchanged(mask.sha256, seen)
    voxels, kept = _pasted(view, drawn)
    count = int(np.count_nonzero(voxels == mask.label))
    if not mask.exists and not count:
        raise _bad("nothing is drawn yet")
    try:
        with locked(folder / STATE):
            _check_unchanged(digest_of(path), seen)
            if (key := scan_key_of(view.case)) != view.volume.key:
                raise _other_scan(key)
            sha256 = _write(folder, view, voxels)
    except RunRefused as error:
        raise Refusal(
            HTTPStatus.LOCKED, "a run is writing into this output folder; save once it has ended"
        ) from error
    return Saved(sha256, count, round(count * view.volume.voxel_ml, 3), kept)


def _check_unchanged(now: str, seen: str) -> None:
    if now != seen:
        what = "is gone" if now == NONE else "has been changed"
        text = f"the mask {what} since it was opened here; nothing was saved"
        raise Refusal(HTTPStatus.CONFLICT, text, sha256=now)


def _pasted(view: View, drawn: NDArray[np.bool_]) -> tuple[NDArray[Any], int]:
    """Return the whole label map on the scan's own grid, and how many voxels keep another label."""
    mask, volume = view.mask, view.volume
    if mask.voxels is None:
        whole: NDArray[Any] = np.zeros(volume.image.GetSize()[::-1], np.uint8)
    else:
        whole = np.array(mask.voxels)
    shown = view.part.cut(volume.upright(whole))
    own = shown == mask.label
    free = own | (shown == 0)
    kept = int(np.count_nonzero(drawn & ~free))
    shown[own & ~drawn] = 0
    shown[free & drawn] = mask.label
    return whole, kept


def _write(folder: Path, view: View, voxels: NDArray[Any]) -> str:
    """Keep the file as it is, write the mask and note what it is, and return its hash.

    The notes are there before the mask gets its name: they name its content.
    """
    file, state = view.mask.file, folder / STATE
    assert file.path is not None
    path = file.path.resolve() if file.given else file.path  # the user's links stay links
    path.parent.mkdir(exist_ok=True)
    replaced = path.is_file()
    _keep(state, view)
    with whole_files([path], private=replaced) as partial:
        write_partial(image_like(voxels, view.volume.image), partial[path])
        if replaced:
            shutil.copymode(path, partial[path])
        sha256 = keys.of_file(partial[path])
        if not file.given:
            note_drawn(state, view.case.scan_name, view.volume.key)
        elif view.mask.exists:
            after = keys.of_given_mask(file.path, partial[path])
            note_corrected(state, view.case.key, keys.of_given_mask(file.path), after)
        if file.copies:
            note_saved(state, file.copies.name, view.mask.sha256, sha256)
    return sha256


def _keep(state: Path, view: View) -> None:
    """Keep a mask file as it is, unless it is kept already or the viewer wrote it.

    Raises:
        Refusal: the folder of originals is a link that leads elsewhere.
        OSError: the copy cannot be written.
    """
    file, sha256 = view.mask.file, view.mask.sha256
    copy = file.copy_of(sha256)
    if not view.mask.exists or file.path is None or file.copies is None or copy is None:
        return
    if copy.parent.is_symlink() or copy.parent.parent.is_symlink():
        raise Refusal(HTTPStatus.CONFLICT, "masks/.original is a link; remove it")
    known = (copy, file.copies)  # earlier versions gave the first copy no hash
    if sha256 in saved_here(state).get(file.copies.name, ()) or sha256 in map(keys.of_file, known):
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    with whole_files([copy], private=True) as partial:
        shutil.copyfile(file.path, partial[copy])
        shutil.copymode(file.path, partial[copy])


def _other_scan(key: str) -> Refusal:
    text = (
        "the scan has been replaced since it was opened here; nothing was saved: open the row "
        "again, and draw on the scan that there is now"
        if key
        else "the scan is gone since it was opened; give it again"
    )
    return Refusal(HTTPStatus.CONFLICT, text, scan=key)


def _bad(text: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, text)
