"""Sentences rest on the digits that stand beside them."""

import numpy as np
import pytest

from pancseg.modelling.report.verdict_section import _slope
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.validation.comparison import Comparison
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.validation.slope_interval import slope_estimate
from pancseg.modelling.verdict import HowCompared, verdict


def test_a_slope_whose_interval_is_printed_as_holding_1_may_be_extreme():
    (line,) = _slope(Estimate(0.6, 0.3, 0.9996))
    assert "may be" in line
    (line,) = _slope(Estimate(0.6, 0.3, 0.9994))
    assert "may be" not in line


def test_a_slope_holds_0_where_auc_is_printed_as_holding_a_half():
    resampled = np.array([-1.0, -0.8, -0.9, -1.1, -1.2])
    found = slope_estimate(resampled, np.full(5, -1.0), 5, Estimate(0.45, 0.4, 0.4998))
    assert found.high == 0
    found = slope_estimate(resampled, np.full(5, -1.0), 5, Estimate(0.45, 0.4, 0.4994))
    assert found.high < 0


def nothing(value=0.0):
    return Estimate(value, value - 0.04, value + 0.04)


@pytest.mark.parametrize("other", [SINGLE, VOLUME, CLINICAL])
def test_a_small_p_beside_an_interval_that_holds_0_is_explained(other):
    good = {"AUC": Estimate(0.7, 0.6, 0.8)}
    pair = (BOTH if other == CLINICAL else RADIOMICS, other)
    small = Comparison(nothing(0.03), nothing(), nothing(), 0.01)
    judged = {RADIOMICS: good, other: good} | ({BOTH: good} if other == CLINICAL else {})
    lines = verdict(judged, {pair: small}, "AUC", HowCompared())
    (line,) = [line for line in lines if "p = 0.01" in line]
    assert "A likelihood-ratio p below 0.05 does not count alone" in line


def test_an_auc_printed_as_a_half_is_not_said_to_count_as_one():
    good = {"AUC": Estimate(0.7, 0.6, 0.8)}
    flat = {"AUC": Estimate(0.4998, 0.4, 0.6)}
    more = Comparison(nothing(), nothing(), nothing(), 0.5)
    found = {RADIOMICS: good, CLINICAL: flat, BOTH: good}
    text = " ".join(verdict(found, {(BOTH, CLINICAL): more}, "AUC", HowCompared()))
    assert "counted as 0.5" not in text
