"""Performance in new patients is called lower or higher only where the intervals carry it."""

from types import SimpleNamespace

import numpy as np
import pytest

from pancseg.modelling.report.external.verdict import _against_development, difference
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.validation.measures import Estimate


@pytest.mark.parametrize(
    ("here", "says"),
    [
        ((0.675, 0.618, 0.730), "no difference is shown"),  # was called lower than 0.679
        ((0.690, 0.640, 0.740), "no difference is shown"),  # was called not lower
        ((0.550, 0.490, 0.610), "it is lower here"),
        ((0.800, 0.760, 0.840), "it is higher here"),
    ],
)
def test_a_point_estimate_alone_is_not_called_lower(here, says):
    facts = {"measures": {RADIOMICS: {"AUC": (0.679, 0.641, 0.716)}}}
    judged = SimpleNamespace(saved=SimpleNamespace(facts=facts), main="AUC")
    text = _against_development(judged, Estimate(*here))
    assert f"{says} (here less there " in text
    assert f"{here[0] - 0.679:.3f} (".replace("-", "−") in text


def test_the_interval_of_a_difference_covers_as_it_says():
    """Two binomial shares, each with its own interval: the difference is covered in about 95 %."""
    random = np.random.default_rng(0)
    a, b = random.normal(0.7, 0.03, 4000), random.normal(0.6, 0.05, 4000)
    z = 1.96
    held = 0
    for x, y in zip(a, b, strict=True):
        found = difference(
            Estimate(x, x - z * 0.03, x + z * 0.03), Estimate(y, y - z * 0.05, y + z * 0.05)
        )
        held += found.low <= 0.1 <= found.high
    assert 0.94 < held / 4000 < 0.96
