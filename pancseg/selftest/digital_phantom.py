"""IBSI's digital phantom: 5×4×4 voxels of 2 mm, 74 of them in the region.

Designed by Alex Zwanenburg for the Image Biomarker Standardisation Initiative, CC BY 4.0
(https://github.com/theibsi/data_sets). IBSI's reference values for it are in
``digital_phantom.csv``.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

_LEVELS = """
14411 14611 41641 44641
14411 11611 11311 44611
14411 11111 11911 11611
14411 11111 11111 11611
"""
_REGION = """
11111 11111 11111 11111
11111 11111 01111 11111
11100 11111 11011 11111
11100 11111 11111 11111
"""


def digital_phantom() -> tuple[sitk.Image, sitk.Image]:
    """Return the image and its region; in the text above a line is a slice (z), a word a row."""
    return _volume(_LEVELS), _volume(_REGION)


def _volume(text: str) -> sitk.Image:
    voxels = [[list(map(int, row)) for row in line.split()] for line in text.split("\n") if line]
    image = sitk.GetImageFromArray(np.array(voxels, np.uint8))
    image.SetSpacing((2.0, 2.0, 2.0))
    return image
