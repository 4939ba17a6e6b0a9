"""Write the contours that lie on a row's picture, as SVG in the picture's coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.pictures.colours import CONTOUR, MEASURED, REMOVED
from pancseg.pictures.contour import filled_path_of, path_of
from pancseg.pictures.layout import HEIGHT, WIDTH, Panel
from pancseg.pictures.volume import AXES, Volume

USED, TAKEN_OUT = 1, 2
"""Values of a measured region: used by the intensity features, and taken out by re-segmentation."""

_ROUNDING = 1e-3

_PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>path{{fill:none;vector-effect:non-scaling-stroke}}\
.c{{stroke:#000;stroke-width:3.4;stroke-opacity:.45}}.l{{stroke:{colour};stroke-width:1.6}}\
.x{{fill:url(#h)}}</style>{pattern}
{content}</svg>
"""
_HATCH = (
    '<pattern id="h" width="5" height="5" patternUnits="userSpaceOnUse" '
    'patternTransform="scale({along:.4f} {down:.4f}) rotate(45)"><path d="M0 0h5v5h-5z" '
    'style="fill:{colour};fill-opacity:.45;stroke:none"/><path d="M0 0v5" '
    'style="stroke:{colour};stroke-width:2.5;vector-effect:none"/></pattern>'
)


def contour_svg(panels: Sequence[Panel], inside: Volume) -> bytes:
    """Return the contours of exactly the voxels that were judged and measured.

    Args:
        panels: of the picture.
        inside: the region on the scan's grid.
    """
    groups = []
    for number, panel in enumerate(panels):
        window = panel.crop(inside.plane(panel.plane, panel.index) != 0)
        if window.any():
            along, down = panel.scale
            place = f"translate({panel.place[0]} {panel.place[1]}) scale({along:.6g} {down:.6g})"
            groups.append(_outlined(number, place, window))
    return _svg(CONTOUR, "".join(groups), "")


def measured_svg(panels: Sequence[Panel], scan: Volume, measured: sitk.Image) -> bytes | None:
    """Return the region on the features' grid, with the voxels that re-segmentation took out.

    Each panel shows the slice of the grid whose centre is nearest to the panel's own.

    Args:
        panels: of the picture.
        scan: the volume.
        measured: voxels of :data:`USED` and :data:`TAKEN_OUT` around the region.

    Returns:
        None if the grid's axes do not run along the scan's, so that it has no slice to show.
    """
    grid = _Grid.of(scan, Volume.of(measured))
    if grid is None:
        return None
    groups, along, down = [], 1.0, 1.0
    for number, panel in enumerate(panels):
        found = grid.slice_of(panel)
        if found is None or not (plane := grid.region.plane(panel.plane, found)).any():
            continue
        place, along, down = grid.place(panel)
        groups.append(_outlined(number, place, plane == USED))
        if taken := filled_path_of(plane == TAKEN_OUT):
            groups.append(f'<g transform="{place}"><path class="x" d="{taken}"/></g>\n')
    hatch = _HATCH.format(colour=REMOVED, along=1 / along, down=1 / down)
    return _svg(MEASURED, "".join(groups), f"<defs>{hatch}</defs>")


def _outlined(number: int, place: str, inside: NDArray[np.bool_]) -> str:
    """Return a contour: a line in colour over a wider dark one."""
    path = f'<path id="p{number}" d="{path_of(inside)}"/>'
    return f'<g transform="{place}"><g class="c">{path}</g><use href="#p{number}" class="l"/></g>\n'


def _svg(colour: str, content: str, pattern: str) -> bytes:
    page = _PAGE.format(width=WIDTH, height=HEIGHT, colour=colour, pattern=pattern, content=content)
    return page.encode()


class _Grid(NamedTuple):
    """Where the voxels of a measured region lie in the scan.

    Attributes:
        region: the measured region.
        scan: the scan.
        first: position of its first voxel's centre in voxels of the scan, (z, y, x).
        step: its voxel size in voxels of the scan, (z, y, x).
    """

    region: Volume
    scan: Volume
    first: NDArray[np.float64]
    step: NDArray[np.float64]

    @classmethod
    def of(cls, scan: Volume, region: Volume) -> _Grid | None:
        """Return it; None if its axes do not run along the scan's."""
        one = np.abs(np.reshape(scan.image.GetDirection(), (3, 3)))
        other = np.abs(np.reshape(region.image.GetDirection(), (3, 3)))
        if not all(np.isclose(one.T @ other, 1, atol=_ROUNDING).any(axis=0)):
            return None
        corners = []
        for at_end in (False, True):
            index = [(n - 1) if at_end else 0 for n in region.image.GetSize()]
            corners.append(scan.index_of(region.image.TransformIndexToPhysicalPoint(index)))
        step = np.divide(region.spacing_mm, scan.spacing_mm)
        return cls(region, scan, np.minimum(*corners), step)

    def slice_of(self, panel: Panel) -> int | None:
        """Return the grid's slice that is nearest to a panel's; None if the grid ends before."""
        axis = AXES[panel.plane][0]
        position = (panel.index - self.first[axis]) / self.step[axis]
        nearest = round(float(position))
        near = abs(position - nearest) * self.step[axis] <= max(self.step[axis], 1) / 2 + _ROUNDING
        return nearest if near and 0 <= nearest < self.region.voxels.shape[axis] else None

    def place(self, panel: Panel) -> tuple[str, float, float]:
        """Return the SVG transform from the grid's pixels to the picture's, and its scales."""
        _, down, along = AXES[panel.plane]
        edge_along = self.first[along] + 0.5 - self.step[along] / 2
        edge_down = self.first[down] + 0.5 - self.step[down] / 2
        if panel.plane != "axial":  # from the head down
            end = edge_down + self.region.voxels.shape[down] * self.step[down]
            edge_down = self.scan.voxels.shape[down] - end
        x, y = panel.origin
        wide, high = panel.scale
        scale_x, scale_y = wide * self.step[along], high * self.step[down]
        shift = f"translate({x + edge_along * wide:.4f} {y + edge_down * high:.4f})"
        return f"{shift} scale({scale_x:.6g} {scale_y:.6g})", scale_x, scale_y
