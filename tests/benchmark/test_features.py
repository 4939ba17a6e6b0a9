"""The benchmark of features runs all contenders and compares what they found."""

from __future__ import annotations

import re
from pathlib import Path

from pancseg.benchmark import features


def test_modes_are_measured_against_pyradiomics(tmp_path: Path) -> None:
    assert features.make_case(tmp_path, (64, 64, 12), (5.6, 5.6, 16.0)) > 30
    told: list[str] = []
    which = "the scan's own voxels"
    found = features.time_features(tmp_path, which, 1, told.append)
    assert list(found) == list(features.CONTENDERS)
    assert len(told) == 3
    assert {len(runs[0].values) for runs in found.values()} == {1316}
    text = features.report(which, found)
    assert re.search(r"\| mode ibsi \| \d+\.\d\d \| \d+\.\d \| \d+ \|  \|", text)
    difference = re.search(r"\| mode pyradiomics .* \| (\S+) \|", text)
    assert difference
    assert float(difference[1]) < 1e-9


def test_a_missing_feature_is_a_difference() -> None:
    assert features.largest_difference({"a": 1.0}, {"b": 1.0}) == float("inf")
    assert features.largest_difference({"a": 2.0, "b": 1.0}, {"a": 2.1, "b": 1.0}) > 0.04
