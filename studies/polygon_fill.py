"""How many pixels libraries get wrong when they turn polygons into pixels, and how long it takes.

``python studies/polygon_fill.py`` in an environment with matplotlib, pillow, scikit-image and
opencv-python. The corners are at quarters of pixels, so that whole numbers tell exactly which pixel
centres are inside, and which are on a line. Prints Markdown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
from matplotlib.path import Path
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.draw import polygon2mask

from pancseg.scans.dicom.even_odd import pixels_inside
from pancseg.tables.markdown_table import markdown_table

SIZE, POLYGONS, CORNERS = 128, 100, 60
Polygon = NDArray[np.float64]
Mask = NDArray[np.bool_]


def by_pancseg(polygon: Polygon, size: int) -> Mask:
    """Fill as an RTSTRUCT is read."""
    filled = np.zeros((size, size), bool)
    if found := pixels_inside([polygon], size, size):
        filled[found.rows, found.columns] = found.inside
    return filled


def by_matplotlib(polygon: Polygon, size: int) -> Mask:
    """Ask for every centre."""
    centres = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2)
    closed = Path(np.concatenate([polygon, polygon[:1]]))
    return closed.contains_points(centres).reshape(size, size)


def by_pillow(polygon: Polygon, size: int) -> Mask:
    """Draw on an image of bits."""
    image = Image.new("1", (size, size))
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in polygon.tolist()], fill=1)
    return np.array(image)


def by_scikit_image(polygon: Polygon, size: int) -> Mask:
    """Ask for a mask."""
    return polygon2mask((size, size), polygon[:, ::-1])


def by_opencv(polygon: Polygon, size: int) -> Mask:
    """Fill with corners at 1/256 of a pixel, the finest that it takes."""
    image = np.zeros((size, size), np.uint8)
    cv2.fillPoly(image, [(polygon * 256).round().astype(np.int32)], 1, shift=8)
    return image.astype(bool)


FILLS: dict[str, Callable[[Polygon, int], Mask]] = {
    "pancseg": by_pancseg,
    "Matplotlib, contains_points": by_matplotlib,
    "Pillow, polygon": by_pillow,
    "scikit-image, polygon2mask": by_scikit_image,
    "OpenCV, fillPoly": by_opencv,
}


def exactly(quarters: NDArray[np.int64], size: int) -> tuple[Mask, Mask]:
    """Return which centres are inside by the even-odd rule, and which are on a line."""
    y, x = np.mgrid[:size, :size] * 4
    inside, on_line = np.zeros((size, size), bool), np.zeros((size, size), bool)
    for (ax, ay), (bx, by) in zip(quarters, np.roll(quarters, -1, axis=0), strict=True):
        side = (x - ax) * (by - ay) - (y - ay) * (bx - ax)
        crosses = (ay <= y) != (by <= y)
        inside ^= crosses & (side * np.sign(by - ay) > 0)
        between = (np.minimum(ax, bx) <= x) & (x <= np.maximum(ax, bx))
        on_line |= (side == 0) & between & (np.minimum(ay, by) <= y) & (y <= np.maximum(ay, by))
    return inside, on_line


def polygons(seed: int) -> list[NDArray[np.int64]]:
    """Return wavy outlines, with their corners in quarters of pixels."""
    rng, found = np.random.default_rng(seed), []
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    for _ in range(POLYGONS):
        waves = sum(
            rng.normal(0, 0.3 / k) * np.cos(k * turn + rng.uniform(0, 7)) for k in (1, 2, 3, 5)
        )
        radius = rng.uniform(8, 30) * (1 + waves)
        corners = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius[:, None] + SIZE / 2
        found.append((4 * corners).round().astype(np.int64))
    return found


def main() -> None:
    """Print the table."""
    outlines, rows = polygons(0), []
    truths = [exactly(quarters, SIZE) for quarters in outlines]
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    large = 256.1 + 100 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for name, fill in FILLS.items():
        wrong = more = 0
        for quarters, (inside, on_line) in zip(outlines, truths, strict=True):
            filled = fill(quarters / 4, SIZE)
            wrong += int(((filled != inside) & ~on_line).sum())
            more += int((filled & ~inside & ~on_line).sum())
        started = time.perf_counter()
        for _ in range(5):
            fill(large, 512)
        ms = 200 * (time.perf_counter() - started)
        rows.append([name, f"{wrong:,}", f"{more:,}", f"{ms:.1f}"])
    pixels = sum(int(inside.sum()) for inside, _ in truths)
    lines = sum(int(on_line.sum()) for _, on_line in truths)
    print(
        f"{POLYGONS} polygons, {pixels:,} pixels inside; {lines:,} centres on lines do not count\n"
    )
    titles = ["", "wrong pixels", "of these, filled beyond the line", "ms for 512×512"]
    print(markdown_table(titles, rows, left=1))


if __name__ == "__main__":
    main()
