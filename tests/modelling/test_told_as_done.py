"""Sentences of the report say what was done, not what is usually done."""

from types import SimpleNamespace

import numpy as np
import pytest

from pancseg.modelling.analysis.calibration import Calibration
from pancseg.modelling.optimism import Corrected
from pancseg.modelling.report.calibration_section import calibration_section
from pancseg.modelling.report.methods.validation import _correction
from pancseg.modelling.report.performance_section import _corrected_how
from pancseg.modelling.validation.calibration import SmoothCurve
from pancseg.modelling.validation.measures import Estimate

FOREST = {
    "AUC": Corrected(1.0, np.full(25, 0.7), 0.5, is_loss=False),
    "Brier": Corrected(0.05, np.full(25, 0.25), 0.3, is_loss=True),
}
LINEAR = FOREST | {"AUC": Corrected(0.8, np.full(25, 0.7), 0.5, is_loss=False)}


def corrected(**models):
    settings, plan = SimpleNamespace(kind="subtype"), SimpleNamespace(strata=np.array([0, 1]))
    return SimpleNamespace(corrected=models, settings=settings, plan=plan)


@pytest.mark.parametrize("others", [{}, {"volume": LINEAR}])
def test_a_correction_that_is_withheld_is_not_claimed(others):
    text = _correction(corrected(radiomics=FOREST, **others))
    assert "were also judged in patients left out of bootstrap samples: in each of 25" in text
    assert "No .632+ estimate of radiomics is given" in text
    assert "corrected for optimism" not in text
    assert ("Those of other models were weighed by the .632+ bootstrap" in text) == bool(others)
    assert "corrected for optimism by the .632+" in _correction(corrected(radiomics=LINEAR))


def test_samples_of_which_none_can_be_judged_are_not_claimed():
    """Before: "in each of 0 samples of patients every step was repeated"."""
    for outside in (np.array([]), np.full(25, np.nan)):  # none fitted, none judged
        known = {
            "AUC": Corrected(0.8, outside, 0.5, is_loss=False),
            "Brier": Corrected(0.2, outside, 0.3, is_loss=True),
        }
        method = _correction(corrected(radiomics=known))
        note = _corrected_how(known, "AUC")
        assert "The AUC and the Brier score could not be judged in patients left out" in method
        assert "No .632+ estimate is given: there was no bootstrap sample" in note
        for text in (method, note):
            assert "0 samples" not in text
            assert "tuned again" not in text
            assert "was repeated" not in text
    told = _corrected_how(LINEAR, "AUC")
    assert "The .632+ estimates are of 25 bootstrap samples, in each of which" in told


def test_a_horizon_without_a_smooth_curve_keeps_its_place():
    """Before, ICI and ratio of the next horizon slid into the columns of one without a curve."""
    one = Estimate(1.0, 0.9, 1.1)
    curve = SmoothCurve(*np.zeros((4, 2)), Estimate(0.05, 0.01, 0.09))
    found = Calibration(one, one, {4.0: one, 9.0: Estimate(1.2, 1.1, 1.3)}, {9.0: curve})
    settings = SimpleNamespace(kind="survival", time_unit="months", competing=(), repeats=1)
    results = SimpleNamespace(
        settings=settings, calibration={"radiomics": found}, horizons=(4.0, 9.0)
    )
    section = calibration_section(results)
    cells = dict(zip(section.header, section.rows[0], strict=True))
    assert cells["ICI at 4"] == "–"
    assert cells["observed / expected at 4"].startswith("1.000 (")
    assert cells["observed / expected at 9"].startswith("1.200 (")
    assert cells["ICI at 9"].startswith("0.050 (")
