"""Measure how long a second look takes, by the first look of the same network's weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pancseg.pipeline.estimation.made_up import MadeUp, region_in
from pancseg.processing.plan import ProcessingPlan
from pancseg.scans.reading import read_scan

_ROUNDS = 2
"""The faster one counts: the first also prepares the networks for the slices' size."""


class SecondLookCost(NamedTuple):
    """What a second look costs.

    Attributes:
        slices: time for a slice that is looked at again, in times for a slice of the first look.
        margin_mm: how far above and below the organ slices are looked at again.
    """

    slices: float
    margin_mm: float


def cost_of_second_look(
    plan: ProcessingPlan, made: MadeUp, engine: str, threads: int
) -> SecondLookCost:
    """Measure, in this process, both looks at a made-up scan.

    What the first look finds in it is put in its place: an organ like a pancreas.

    Args:
        plan: of the run; its weights hold two networks.
        made: the made-up scans.
        engine: that runs the networks.
        threads: CPU threads of a worker.
    """
    from pancseg.segmentation.along_z import Part
    from pancseg.segmentation.looks import FirstLook
    from pancseg.segmentation.postprocess import FOUND
    from pancseg.segmentation.second_look import guides
    from pancseg.segmentation.segmenter import load_segmenter

    assert plan.weights is not None
    segmenter = load_segmenter(
        plan.weights,
        threads=threads,
        engine=engine,
        precision=plan.precision,
        allow_code=plan.allow_code,
    )
    second = segmenter.checkpoint.second
    assert second is not None
    assert second.windows is not None
    scan = read_scan(made.slices)
    columns, rows, count = scan.GetSize()
    x_mm, y_mm, slice_mm = scan.GetSpacing()
    organ = region_in((count, rows, columns), (x_mm, y_mm, slice_mm))
    margin_mm = second.windows.margin_mm
    once = _seconds(lambda: segmenter.looking.first(scan)) / count
    where = guides(organ, slice_mm, margin_mm)
    size = segmenter.checkpoint.preprocessing.size
    part = Part.of(np.ones((size, size), np.float32))
    first = FirstLook(organ.astype(np.uint8) * FOUND, dict.fromkeys(where, part))
    again = _seconds(lambda: segmenter.looking.again(scan, first)) / len(where)
    return SecondLookCost(again / once, margin_mm)


def _seconds(work: Callable[[], Any]) -> float:
    spent = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)
