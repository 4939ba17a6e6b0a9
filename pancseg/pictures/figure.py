"""Draw scans and contours as matplotlib figures, for notebooks and papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.pictures.colours import LABELS
from pancseg.pictures.composite import DIRECTIONS
from pancseg.pictures.contour import edges
from pancseg.pictures.layout import Panel, panels_of, strip_slices
from pancseg.pictures.volume import Volume
from pancseg.pictures.window import Window, window_for
from pancseg.scans.arrays import label_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_mask, as_scan
from pancseg.scans.geometry import on_grid_of
from pancseg.system.optional import missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES_A_PANEL = 3.0
_MOST_LABELS = len(LABELS)


def overlay(
    scan: VolumeLike,
    mask: VolumeLike,
    *,
    window: tuple[float, float] | None = None,
    **geometry: Unpack[ArrayGeometry],
) -> Figure:
    """Draw the three planes through the mask's centre, with the contours of its labels.

    Contours follow the edges of voxels; nothing is smoothed or resampled. The patient's right is on
    the left.

    Args:
        scan: the volume: a path, a ``SimpleITK.Image``, a nibabel image, or an array ``(z, y, x)``
            with ``spacing``.
        mask: labels in the same space, given in the same ways; each has its own colour.
        window: lowest and highest value shown, black and white; by default -160 and 240 HU.
        geometry: ``spacing``, ``origin`` and ``direction`` where the scan is an array.

    Returns:
        A figure of 9×3 inches with one axes per plane.

    Raises:
        UnusableCase: scan or mask cannot be read, or they are on different grids.
        ValueError: the window is empty.
        ImportError: matplotlib is not installed.

    Example:
        >>> from pancseg import overlay
        >>> figure = overlay("scan.nii.gz", "mask.nii.gz")
        >>> [axes.get_title() for axes in figure.axes]
        ['axial', 'coronal', 'sagittal']
    """
    shown = _Shown.of(scan, mask, window, geometry)
    panels = panels_of(shown.scan, shown.labels != 0)[:3]
    figure = _figure(1, 3)
    for axes, panel in zip(_axes(figure, 1, 3), panels, strict=True):
        _draw(axes, shown, panel)
        axes.set_title(panel.plane, fontsize="small")
        _directions(axes, panel)
    _legend(figure, shown.present)
    return figure


def montage(
    scan: VolumeLike,
    mask: VolumeLike,
    *,
    count: int = 12,
    columns: int = 4,
    window: tuple[float, float] | None = None,
    **geometry: Unpack[ArrayGeometry],
) -> Figure:
    """Draw evenly spaced axial slices from the mask's first to its last, from head to feet.

    Args:
        scan: as for :func:`pancseg.overlay`.
        mask: as for :func:`pancseg.overlay`.
        count: number of slices; of a flatter mask, as many as it has.
        columns: number of slices in a row.
        window: as for :func:`pancseg.overlay`.
        geometry: as for :func:`pancseg.overlay`.

    Returns:
        A figure with one axes per slice, titled with the slice's number from the feet.

    Raises:
        UnusableCase: scan or mask cannot be read, or they are on different grids; ``empty_mask``.
        ValueError: the window is empty, or a number is less than 1.
        ImportError: matplotlib is not installed.

    Example:
        >>> from pancseg import montage
        >>> figure = montage("scan.nii.gz", "mask.nii.gz", count=3, columns=3)
        >>> len(figure.axes)
        3
    """
    if count < 1 or columns < 1:
        raise ValueError(f"count={count} and columns={columns}: give 1 or more")
    shown = _Shown.of(scan, mask, window, geometry)
    box = box_of(shown.labels)
    assert box is not None
    tile = panels_of(shown.scan, shown.labels != 0)[3]
    slices = strip_slices(box, count)
    columns = min(columns, len(slices))
    rows = -(-len(slices) // columns)
    figure = _figure(rows, columns)
    for axes, index in zip(_axes(figure, rows, columns), slices, strict=False):
        panel = Panel("axial", index, tile.frame, tile.window, tile.place)
        _draw(axes, shown, panel)
        axes.set_title(f"slice {index + 1}", fontsize="x-small")
        _directions(axes, panel)
    for axes in figure.axes[len(slices) :]:
        axes.remove()
    _legend(figure, shown.present)
    return figure


class _Shown(NamedTuple):
    scan: Volume
    labels: NDArray[Any]
    present: list[int]
    window: Window

    @classmethod
    def of(
        cls,
        scan: VolumeLike,
        mask: VolumeLike,
        window: tuple[float, float] | None,
        geometry: ArrayGeometry,
    ) -> _Shown:
        """Read scan and mask, as functions of the library do."""
        image = as_scan(scan, **geometry)
        drawn = on_grid_of(image, as_mask(mask, image))
        volume = Volume.of(image)
        labels = Volume.of(drawn).voxels
        if labels.dtype.kind == "f":
            label_array(drawn)  # refuses fractions
            labels = np.rint(labels).astype(np.int32)
        present = [int(label) for label in np.unique(labels) if label]
        if not present:
            raise UnusableCase("empty_mask", f"none of the mask's {labels.size:,} voxels is set")
        chosen = Window(*window) if window else window_for(volume.voxels)
        if not chosen.low < chosen.high:
            raise ValueError(f"window={window}: give a lower and a higher value")
        return cls(volume, labels, present, chosen)


def _figure(rows: int, columns: int) -> Figure:
    if lacking := missing("matplotlib", "'pancseg[figures]'"):
        raise ImportError(f"figures need {lacking}")
    from matplotlib.figure import Figure

    size = (_INCHES_A_PANEL * columns, _INCHES_A_PANEL * rows)
    return Figure(figsize=size, layout="constrained")


def _axes(figure: Figure, rows: int, columns: int) -> Sequence[Axes]:
    found: Sequence[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    return found


def _draw(axes: Axes, shown: _Shown, panel: Panel) -> None:
    """Show one plane, in mm, and the contours of all labels in it."""
    from matplotlib.collections import LineCollection

    down_mm, along_mm = shown.scan.pixel_mm(panel.plane)
    grey = panel.crop(shown.scan.plane(panel.plane, panel.index))
    extent = (0, grey.shape[1] * along_mm, grey.shape[0] * down_mm, 0)
    axes.imshow(grey, cmap="gray", vmin=shown.window.low, vmax=shown.window.high, extent=extent)
    axes.set_axis_off()
    drawn = Volume(shown.labels, shown.scan.spacing_mm, shown.scan.image)
    labels = panel.crop(drawn.plane(panel.plane, panel.index))
    for number, label in enumerate(shown.present):
        across, down = edges(labels == label)
        lines = [((b, a), (b + n, a)) for a, b, n in across.tolist()]
        lines += [((a, b), (a, b + n)) for a, b, n in down.tolist()]
        scaled = [[(x * along_mm, y * down_mm) for x, y in line] for line in lines]
        colour = LABELS[number % _MOST_LABELS]
        axes.add_collection(
            LineCollection(scaled, colors=colour, linewidths=1, capstyle="projecting")
        )


def _directions(axes: Axes, panel: Panel) -> None:
    """Write what is left, right, top and bottom."""
    places = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.98, "center", "top"),
        (0.5, 0.02, "center", "bottom"),
    )
    for (x, y, across, down), letter in zip(places, DIRECTIONS[panel.plane], strict=True):
        axes.text(x, y, letter, ha=across, va=down, color="w", transform=axes.transAxes)


def _legend(figure: Figure, present: Sequence[int]) -> None:
    """Name the labels, if there are several."""
    from matplotlib.lines import Line2D

    if len(present) > 1:
        lines = [Line2D([], [], color=LABELS[i % _MOST_LABELS]) for i in range(len(present))]
        names = [f"label {label}" for label in present]
        figure.legend(lines, names, loc="outside lower center", ncols=len(names), fontsize="small")
