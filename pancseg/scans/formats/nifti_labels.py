"""Read the label table that TotalSegmentator and Connectome Workbench put into NIfTI headers.

It is an XML text in a header extension (``CaretExtension``) with one element per label. Only these
elements are looked for; no XML is interpreted.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from pancseg.scans.formats.nifti import read_layout
from pancseg.scans.segments import Segment
from pancseg.scans.voxel_stream import first_bytes, unpacked
from pancseg.system.regular_files import MEBIBYTE, open_regular

_NIFTI_1_BYTES = 348
_LARGEST_BYTES = 4 * MEBIBYTE
_LABEL = re.compile(
    r'<Label\s{1,9}Key="([0-9]{1,9})"[^<>]{0,300}>(?:<!\[CDATA\[([^\]]{1,300})\]\]>|([^<>]{1,300}))'
    r"</Label>"
)


def label_table(path: Path) -> tuple[Segment, ...]:
    """Return the segments that the header of a NIfTI file names; empty if it names none.

    Args:
        path: a NIfTI-1 or NIfTI-2 file, plain or gzipped.

    Raises:
        UnusableCase: as :func:`pancseg.scans.formats.nifti.read_layout`.
        OSError: the file cannot be reached.
    """
    layout = read_layout(path)
    length = layout.skip or layout.start
    if not _NIFTI_1_BYTES < length <= _LARGEST_BYTES:
        return ()
    with open_regular(path) as file:
        header = first_bytes(unpacked(file, layout.packed), length)
    return labels_in(header.decode("utf-8", errors="replace"))


def labels_in(text: str) -> tuple[Segment, ...]:
    """Return the segments of a label table; the background (0) is none.

    >>> found = labels_in('<Label Key="7" Red="1"><![CDATA[pancreas]]></Label>')
    >>> [(each.name, each.values) for each in found]
    [('pancreas', (7,))]
    """
    if "<LabelTable>" not in text and "<Label " not in text:
        return ()
    named = (
        (int(key), cdata or html.unescape(plain)) for key, cdata, plain in _LABEL.findall(text)
    )
    return tuple(Segment(name.strip(), (key,)) for key, name in named if key and name.strip())
