"""Sentences of the report say what was done, not what is usually done."""

from types import SimpleNamespace

import numpy as np
import pytest

from pancseg.modelling.optimism import Corrected
from pancseg.modelling.report.methods_text import _correction

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
