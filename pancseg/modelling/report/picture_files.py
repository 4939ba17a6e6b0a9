"""Turn drawings into the files of the report: PNG at 300 dpi, and SVG and PDF for print."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pancseg.tables.picture_style import plain_style

DPI = 300
KINDS: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
"""Kinds of files that every figure is written as, and what they are not to say: no time stamps."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""
LINES = ("-", "--", "-.", ":")


@plain_style()
def picture_files(
    name: str, draw: Callable[[Figure], None], size: tuple[float, float] = (6.3, 4.5)
) -> dict[str, bytes]:
    """Return a figure as ``name.png`` (300 dpi), ``name.svg`` and ``name.pdf``.

    The same data give the same bytes. Letters stay text, which the PDF holds with its font.

    Args:
        name: of the files, without an ending.
        draw: fills an empty figure.
        size: width and height in inches.
    """
    found = {}
    with mpl.rc_context(
        {"svg.hashsalt": name, "svg.fonttype": "none", "pdf.fonttype": 42, "text.usetex": False}
    ):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        for kind, metadata in KINDS.items():
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=DPI, metadata=metadata)
            found[f"{name}.{kind}"] = content.getvalue()
    return found


def legend(axes: Axes, size: float, place: Literal["lower right"]) -> None:
    """Draw a legend, or say that there is nothing to draw, such as no event until then."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=size, loc=place)
    else:
        axes.text(0.5, 0.5, "no pair to compare", ha="center", transform=axes.transAxes)


def plain_label(text: str) -> str:
    """Return a text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def wrapped(text: str, width: int = 34) -> str:
    r"""Return a long name of a column on several lines, broken after an underscore or blank.

    >>> wrapped("original_firstorder_90Percentile", 20)
    'original_firstorder_\n90Percentile'
    """
    lines = [""]
    for part in text.replace("_", "_\0").replace(" ", " \0").split("\0"):
        if len(lines[-1]) + len(part) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
    return plain_label("\n".join(line.rstrip() for line in lines))
