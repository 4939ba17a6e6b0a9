"""Draw pictures in one style, whatever settings of matplotlib lie about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw in matplotlib's own style in the block; also a decorator.

    matplotlib reads ``matplotlibrc`` of the working folder first, which may have come with the data
    and could, for example, have LaTeX run.
    """
    from matplotlib import style

    with style.context("default"):
        yield
