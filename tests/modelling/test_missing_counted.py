"""Missing values are counted alike in the report and in the checklists: texts and volume, once."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.clinical import NOT_KNOWN, indicator
from pancseg.modelling.inputs.gaps import COLUMNS, missing_notes, missing_values
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.cohort_section import _rows
from pancseg.modelling.report.missing_section import missing_section
from pancseg.modelling.report.study_facts import facts_of

N = 12


def cohort():
    index = pd.Index([f"P{i}" for i in range(N)], name="id")
    x = np.random.default_rng(0).normal(size=(N, 2))
    x[:2, 0], x[:3, 1] = np.nan, np.nan
    features = pd.DataFrame(x, index, ["a", "volume_ml"])
    levels = {"sex": ("f", "m", NOT_KNOWN)}
    clinical = pd.DataFrame({indicator("sex", level): 0.0 for level in levels["sex"][1:]}, index)
    clinical.iloc[:5, 1] = 1.0
    volume, empty = features[["volume_ml"]], pd.DataFrame(index=index)
    joined = JoinedTable(features, clinical, volume, empty, np.asarray(index), None)
    return SimpleNamespace(**vars(joined) | {"origin": SimpleNamespace(levels=levels)})


def test_texts_and_the_volume_are_counted_once():
    """The report said 9 columns, the checklists 8: a text with a level of its own was left out."""
    joined = cohort()
    table = missing_values(joined, [np.arange(N)])
    assert missing_notes(table)[0].startswith("3 columns have missing values, 'sex' most (5 pat")
    settings = SimpleNamespace(
        kind="subtype", model="elastic-net", stability_sha256=None, subgroups=(), outer=3, inner=3,
        repeats=1, resamples=10, seed=0, imputations=1,
    )  # fmt: skip
    results = SimpleNamespace(
        settings=settings, plan=SimpleNamespace(specs=[SimpleNamespace(candidates=())]),
        corrected={}, leaks=False, comparisons={}, sites=(),
    )  # fmt: skip
    facts = facts_of(results, joined)
    assert (facts.missing, facts.incomplete) == (10, 3)


def test_one_of_many_is_not_told_as_none():
    """One of 228 patients was "1 (0 %)"."""
    table = pd.DataFrame(
        [("ph.ecog", "clinical", 1, 1 / 228, 0, 3, "median")], columns=list(COLUMNS)
    )
    assert missing_section(table).rows[0][2] == "1 (< 1 %)"
    cells = pd.Series(["a"] * 227 + ["b"])
    rows = _rows("x", ("a", "b"), [cells])
    assert rows[1:] == [["– a", "227 (> 99 %)"], ["– b", "1 (< 1 %)"]]
