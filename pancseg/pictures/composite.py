"""Draw a row's picture: the panels of the layout in grey, with directions, slices and a scale."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pancseg.pictures.colours import CONTOUR
from pancseg.pictures.contour import edges
from pancseg.pictures.layout import HEIGHT, WIDTH, Panel
from pancseg.pictures.volume import Plane, Volume
from pancseg.pictures.window import Window

DIRECTIONS: dict[Plane, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "H", "F"),
    "sagittal": ("A", "P", "H", "F"),
}
"""What is at the left, right, top and bottom: right, left, anterior, posterior, head, feet."""

_QUALITY, _THUMBNAIL_QUALITY = 82, 75
_LETTER, _CAPTION = 17, 12
"""Sizes of the text, in pixels."""
_BRIGHT, _DIM, _LINE = 255, 200, 60
_SCALE_MM = 50


def composite(scan: Volume, panels: Sequence[Panel], window: Window, comment: bytes = b"") -> bytes:
    """Return the picture as a JPEG of 1440×800 grey pixels.

    Args:
        scan: the volume.
        panels: from :func:`pancseg.pictures.layout.panels_of`.
        window: the values that become black and white.
        comment: text to store in the file.
    """
    picture = Image.new("L", (WIDTH, HEIGHT), 0)
    pen = ImageDraw.Draw(picture)
    for panel in panels:
        picture.paste(shown(scan, panel, window), panel.place[:2])
    for number, panel in enumerate(panels):
        _write(pen, panel, scan, large=number < 3)
    return jpeg(picture, _QUALITY, comment)


def shown(scan: Volume, panel: Panel, window: Window) -> Image.Image:
    """Return what a panel shows, in grey, at its size in the picture."""
    grey = window.grey(panel.crop(scan.plane(panel.plane, panel.index)))
    return Image.fromarray(grey).resize(panel.place[2:], Image.Resampling.BICUBIC)


def jpeg(picture: Image.Image, quality: int, comment: bytes = b"") -> bytes:
    """Return a picture as a JPEG without any metadata but the comment."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality, comment=comment)
    return content.getvalue()


def colour_of(text: str) -> tuple[int, int, int]:
    """Return red, green and blue of ``#rrggbb``.

    >>> colour_of("#e69f00")
    (230, 159, 0)
    """
    red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def _write(pen: ImageDraw.ImageDraw, panel: Panel, scan: Volume, *, large: bool) -> None:
    """Write a panel's directions, its slice and, in the large axial plane, a scale."""
    left, top, width, height = panel.frame
    pen.rectangle((left, top, left + width - 1, top + height - 1), outline=_LINE)
    at_left, at_right, at_top, at_bottom = DIRECTIONS[panel.plane]
    middle, centre = top + height / 2, left + width / 2
    _text(pen, (left + 6, middle), at_left, "lm", large=large)
    if large:
        _text(pen, (left + width - 6, middle), at_right, "rm", large=True)
        _text(pen, (centre, top + 5), at_top, "ma", large=True)
        _text(pen, (centre, top + height - 5), at_bottom, "md", large=True)
    if panel.plane == "axial":
        slice_ = f"slice {panel.index + 1} of {scan.voxels.shape[0]}"
        _text(pen, (left + 6, top + height - 5), slice_, "ld", large=False)
    else:
        _text(pen, (left + 6, top + height - 5), panel.plane, "ld", large=False)
    if large and panel.plane == "axial":
        pixels = _SCALE_MM * panel.scale[0] / scan.pixel_mm("axial")[1]
        end, line = left + width - 8, top + height - 9
        pen.line((end - pixels, line, end, line), fill=_BRIGHT, width=2)
        _text(pen, (end - pixels / 2, line - 4), f"{_SCALE_MM} mm", "md", large=False)


def _text(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, anchor: str, *, large: bool
) -> None:
    """Write text with a black edge, which is legible on bone and on air."""
    font = _font(_LETTER if large else _CAPTION)
    fill = _BRIGHT if large else _DIM
    pen.text(at, text, fill=fill, font=font, anchor=anchor, stroke_width=1 + large, stroke_fill=0)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def thumbnail(
    scan: Volume, panel: Panel, inside: NDArray[np.bool_] | None, window: Window
) -> bytes:
    """Return a small JPEG of a panel, with the region's contour drawn into it.

    Args:
        scan: the volume.
        panel: a slice of the strip.
        inside: (z, y, x) voxels of the region; None for no contour.
        window: the values that become black and white.
    """
    small = shown(scan, panel, window)
    small = small.resize((small.width * 3 // 5, small.height * 3 // 5)).convert("RGB")
    if inside is None:
        return jpeg(small, _THUMBNAIL_QUALITY)
    pen = ImageDraw.Draw(small)
    along, down = (scale * 3 / 5 for scale in panel.scale)
    for lines, upright in zip(edges(panel.crop(inside[panel.index])), (False, True), strict=True):
        for line, begin, length in lines.tolist():
            x, y = (line, begin) if upright else (begin, line)
            end = (x, y + length) if upright else (x + length, y)
            points = (x * along, y * down, end[0] * along, end[1] * down)
            pen.line(points, fill=colour_of(CONTOUR), width=1)
    return jpeg(small, _THUMBNAIL_QUALITY)
