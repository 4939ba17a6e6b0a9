"""Performance in new patients is called lower or higher only where the intervals carry it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index
from sklearn.metrics import roc_auc_score
from small_studies import written_tables

from pancseg import fit_model, predict
from pancseg.modelling.external_validation import NewPatients, differences
from pancseg.modelling.predict import column_of
from pancseg.modelling.report.external.verdict import _against_development
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS
from pancseg.modelling.validation.limits import difference_of, perfect_order
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
        found = difference_of(
            Estimate(x, x - z * 0.03, x + z * 0.03), Estimate(y, y - z * 0.05, y + z * 0.05)
        )
        held += found.low <= 0.1 <= found.high
    assert 0.94 < held / 4000 < 0.96


QUICK = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("differences")
    old, new = written_tables(80, folder, "old", 1), written_tables(80, folder, "new", 2, 1.5)
    random = np.random.default_rng(3)
    for _, clinical in (old, new):
        table = pd.read_csv(clinical, index_col="id")
        table.assign(age=random.normal(60, 10, len(table)).round()).to_csv(clinical)
    found = {}
    for kind, options in {
        "subtype": {"label": "class", "positive": "high"},
        "survival": {"time": "time", "event": "event", "horizons": [4, 9]},
    }.items():
        fit_model(*old, folder / kind, clinical=["age"], **options, **QUICK)
        assert predict(folder / kind, *new, folder / f"{kind}.csv").not_judged is None
        found[kind] = SimpleNamespace(
            table=pd.read_csv(folder / f"{kind}.csv").set_index("id"),
            validation=pd.read_csv(folder / f"{kind}_validation.csv").set_index(
                ["model", "measure"]
            ),
            outcomes=pd.read_csv(new[1], index_col="id"),
            report=(folder / f"{kind}_report" / "report.md").read_text(),
        )
    return found


def test_what_radiomics_adds_in_new_patients_is_recomputed(predicted):
    found = predicted["subtype"]
    y = (found.outcomes["class"] == "high").astype(int)[found.table.index]
    both, clinical = (found.table[column_of(name)] for name in (BOTH, CLINICAL))
    row = found.validation.loc[f"{BOTH} − {CLINICAL}", "difference in AUC"]
    assert row["value"] == pytest.approx(roc_auc_score(y, both) - roc_auc_score(y, clinical))
    assert row["low_95"] < row["value"] < row["high_95"]
    brier = found.validation.loc[f"{BOTH} − {CLINICAL}", "difference in Brier"]["value"]
    assert brier == pytest.approx(((both - y) ** 2).mean() - ((clinical - y) ** 2).mean())
    found = predicted["survival"]
    y = found.outcomes.loc[found.table.index]
    c = [
        concordance_index(y["time"], -found.table[column_of(name)], y["event"])
        for name in (BOTH, CLINICAL)
    ]
    row = found.validation.loc[f"{BOTH} − {CLINICAL}", "difference in Harrell's C"]
    assert row["value"] == pytest.approx(c[0] - c[1], abs=1e-9)


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_the_verdict_says_what_radiomics_adds_and_how_sure(predicted, kind):
    found = predicted[kind]
    measure = "AUC" if kind == "subtype" else "Harrell's C"
    row = found.validation.loc[f"{BOTH} − {CLINICAL}", f"difference in {measure}"]
    says = (
        "ranks them better than"
        if row["low_95"] >= 0.0005
        else "is not shown to rank them better than"
        if row["high_95"] > -0.0005
        else "ranks them worse than"
    )
    start = "**More than the clinical variables?** Clinical + radiomics"
    rest = f"the clinical variables alone (difference in {measure} "
    assert f"{start} {says} {rest}" in found.report.replace("\\", "")
    assert "## Differences" in found.report
    assert f"{BOTH} − {CLINICAL} | 80 |" in found.report


def test_two_perfect_models_may_differ(predicted):
    y = np.repeat([0, 1], 12)
    saved = SimpleNamespace(
        kind="subtype", models=dict.fromkeys((BOTH, CLINICAL), SimpleNamespace(threshold=0.5))
    )
    score = np.linspace(0.1, 0.9, 24)
    table = pd.DataFrame({column_of(BOTH): score, column_of(CLINICAL): score**2})
    found = differences(NewPatients(saved, table, y, np.arange(24)), 50)[BOTH, CLINICAL]["AUC"]
    assert found.value == 0
    assert found.high == pytest.approx(1 - perfect_order(12, 12), abs=1e-3)
    assert found.low == pytest.approx(-found.high)


def test_patients_whom_one_model_cannot_predict_count_for_neither(predicted):
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 60)
    saved = SimpleNamespace(
        kind="subtype", models=dict.fromkeys((BOTH, CLINICAL), SimpleNamespace(threshold=0.5))
    )
    table = pd.DataFrame(
        {column_of(BOTH): random.random(60), column_of(CLINICAL): random.random(60)}
    )
    table.loc[40:, column_of(CLINICAL)] = np.nan
    found = differences(NewPatients(saved, table, y, np.arange(60)), 50)[BOTH, CLINICAL]["AUC"]
    parts = [roc_auc_score(y[:40], table[column_of(name)][:40]) for name in (BOTH, CLINICAL)]
    assert found.value == pytest.approx(parts[0] - parts[1])
