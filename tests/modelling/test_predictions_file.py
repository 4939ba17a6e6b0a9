"""Every measure of the report follows from predictions.csv, optimism.csv and settings.yaml.

The measures are computed here by other libraries, from these files.
"""

import numpy as np
import pandas as pd
import pytest
import yaml
from small_studies import events_first

from pancseg import fit_model

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 2, "canary": 0, "workers": 1}
N = 150


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    random = np.random.default_rng(8)
    folder = tmp_path_factory.mktemp("predictions")
    x = random.normal(size=(N, 4))
    ids = pd.Index([f"P{i:03d}" for i in range(N)], name="id")
    pd.DataFrame(x, columns=[*"abc", "volume_ml"], index=ids).to_csv(folder / "f.csv")
    death, censored = random.exponential(10 * np.exp(-x[:, 0])), random.exponential(20, N)
    time = np.minimum(death, censored).round(1) + 0.1
    table = pd.DataFrame({"time": time, "event": death <= censored}, index=ids)
    table["class"] = np.where(x[:, 0] + random.logistic(size=N) > 0, "high", "low")
    table.to_csv(folder / "c.csv")
    found = {}
    for kind, options in {
        "subtype": {"label": "class", "positive": "high"},
        "survival": {"time": "time", "event": "event", "horizons": [4, 9.5]},
    }.items():
        out = folder / kind
        results = fit_model(folder / "f.csv", folder / "c.csv", out, **options, **QUICK)
        found[kind] = (
            pd.read_csv(out / "predictions.csv", float_precision="round_trip"),
            pd.read_csv(out / "performance.csv"),
            yaml.safe_load((out / "settings.yaml").read_text())["times"],
            results,
            pd.read_csv(out / "optimism.csv", float_precision="round_trip"),
        )
    return found


def folds_of(rows):
    return [(fold, rows.drop(fold.index)) for _, fold in rows.groupby("fold")]


def by_repeat(rows):
    """Pairs (test fold, rows of the other folds of the same repeat)."""
    return [pair for _, part in rows.groupby("repeat") for pair in folds_of(part)]


def pooled(parts):
    concordant, total = np.sum(parts, axis=0)
    return concordant / total


def random_precision(positives, n):
    """Expected average precision of random ranks, from the places of the positive ones."""
    ranks = np.arange(1, n + 1)
    return np.mean((1 + (ranks - 1) * (positives - 1) / (n - 1)) / ranks)


def net_benefit(risk, known_event, known_free, threshold):
    above = risk >= threshold
    return above * (known_event - known_free * threshold / (1 - threshold))


def of_class(rows):
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    pairs, precision = [], []
    for test, _ in by_repeat(rows):
        count = test["outcome"].sum() * (1 - test["outcome"]).sum()
        pairs.append((roc_auc_score(test["outcome"], test["score"]) * count, count))
    for _, repeat in rows.groupby("repeat"):
        precision.append(average_precision_score(repeat["outcome"], repeat["score"]))
    if rows["model"].iloc[0] == "chance":
        precision = [random_precision(rows["outcome"].sum() / 2, len(rows) / 2)]
    called = rows["score"] >= rows["threshold"]
    y = rows["outcome"]
    return {
        "AUC": pooled(pairs),
        "PR-AUC": np.mean(precision),
        "Brier": brier_score_loss(y, rows["score"]),
        "net benefit": net_benefit(rows["score"], y, 1 - y, y.mean()).mean(),
        "sensitivity": called[y == 1].mean(),
        "specificity": 1 - called[y == 0].mean(),
    }


def kaplan_meier(rows, time):
    from lifelines import KaplanMeierFitter

    return float(KaplanMeierFitter().fit(rows["time"], rows["event"]).predict(time))


def of_survival(rows, times):
    from sksurv.metrics import brier_score, concordance_index_censored
    from sksurv.nonparametric import CensoringDistributionEstimator
    from sksurv.util import Surv

    grid = times["integrated_brier"]
    names = [f"event_free_at_{t:.10g}" for t in grid]
    found = {"Harrell's C": [], "Uno's C": [], **{f"AUC at {t:.4g}": [] for t in times["horizons"]}}
    brier, gained, middle = [], [], times["horizons"][len(times["horizons"]) // 2]
    threshold = 1 - kaplan_meier(rows[rows["repeat"] == 1], middle)
    for test, train in by_repeat(rows):
        y, of_train = (
            Surv.from_arrays(t["event"] == 1, events_first(t["time"], t["event"]))
            for t in (test, train)
        )
        _, right, wrong, tied, _ = concordance_index_censored(y["event"], y["time"], test["score"])
        found["Harrell's C"].append((right + tied / 2, right + wrong + tied))
        censoring = CensoringDistributionEstimator().fit(of_train)
        g = censoring.predict_proba(y["time"])
        score, time = test["score"].to_numpy(), test["time"].to_numpy()
        event = test["event"].to_numpy() == 1
        higher = (score[:, None] > score) + (score[:, None] == score) / 2
        later = (time[:, None] < time) | ((time[:, None] == time) & ~event)
        weight = np.where(event & (time < grid[-1]), 1 / g**2, 0)[:, None] * later
        found["Uno's C"].append(((weight * higher).sum(), weight.sum()))
        for t in times["horizons"]:
            weight = np.where(event & (time <= t), 1 / g, 0)[:, None] * (time > t)
            found[f"AUC at {t:.4g}"].append(((weight * higher).sum(), weight.sum()))
        _, errors = brier_score(of_train, y, test[names], grid)
        at = np.minimum(y["time"], middle)
        weight = 1 / censoring.predict_proba(at)
        risk = 1 - test[f"event_free_at_{middle:.10g}"].to_numpy()
        died, free = weight * (event & (time <= middle)), weight * (time > middle)
        gained += [*net_benefit(risk, died, free, threshold)]
        brier += [np.trapezoid(errors, grid) / (grid[-1] - grid[0])] * len(test)
    return {name: pooled(parts) for name, parts in found.items()} | {
        "integrated Brier": np.mean(brier),
        "net benefit": np.mean(gained),
    }


FITTED = ("calibration", "observed", "ICI", "hazard ratio")
"""Beginnings of the measures that the tests below fit again."""
CORRECTED = ", .632+"


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_every_measure_follows_from_the_file(studies, kind):
    predictions, performance, times, *_ = studies[kind]
    shown = performance[~performance["model"].str.contains("−")]
    shown = shown[~shown["measure"].str.startswith(FITTED)]
    shown = shown[~shown["measure"].str.endswith(CORRECTED)]
    for name, rows in shown.groupby("model"):
        mine = predictions[predictions["model"] == name]
        again = of_class(mine) if kind == "subtype" else of_survival(mine, times)
        assert set(again) == set(rows["measure"])
        for measure, value in zip(rows["measure"], rows["value"], strict=True):
            assert again[measure] == pytest.approx(value, abs=1e-9), (name, measure)


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_differences_follow_too(studies, kind):
    """Of the main measure a model below 0.5 counts as 0.5 where it is compared with."""
    predictions, performance, times, *_ = studies[kind]
    main, brier = ("AUC", "Brier") if kind == "subtype" else ("Harrell's C", "integrated Brier")
    for other in ("volume only", "best single feature"):
        found = performance[performance["model"] == f"radiomics − {other}"]
        found = found.set_index("measure")["value"]
        a, b = (
            of_class(rows) if kind == "subtype" else of_survival(rows, times)
            for rows in (predictions[predictions["model"] == n] for n in ("radiomics", other))
        )
        expected = {m: a[m] - b[m] for m in (brier, "net benefit")}
        expected[main] = a[main] - max(b[main], 0.5)
        for measure, value in expected.items():
            assert found[f"difference in {measure}"] == pytest.approx(value, abs=1e-9)
        assert 0 <= found["likelihood-ratio p"] <= 1


def test_calibration_of_a_class_follows_from_the_file(studies):
    import statsmodels.api as sm
    from scipy.special import logit

    predictions, performance, _, results, _ = studies["subtype"]
    rows = predictions[predictions["model"] == "radiomics"]
    x = logit(rows["score"])
    fitted = sm.Logit(rows["outcome"], sm.add_constant(x)).fit(disp=0)
    found = results.calibration["radiomics"]
    assert fitted.params.iloc[1] == pytest.approx(found.slope.value, abs=1e-5)
    family = sm.families.Binomial()
    shift = sm.GLM(rows["outcome"], np.ones(len(rows)), family=family, offset=x).fit()
    assert shift.params.iloc[0] == pytest.approx(found.intercept.value, abs=1e-5)
    table = performance[performance["model"] == "radiomics"].set_index("measure")["value"]
    assert table["calibration-in-the-large"] == pytest.approx(found.intercept.value, rel=1e-12)
    ratio = rows["outcome"].sum() / rows["score"].sum()
    assert table["observed / expected"] == pytest.approx(ratio, abs=1e-9)


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_corrected_measures_follow_from_the_file_of_the_bootstrap(studies, kind):
    """Errors are weighed as by Efron and Tibshirani, with none worse than without information."""
    performance = studies[kind][1]
    rows = performance[performance["measure"].str.endswith(CORRECTED)]
    expected = rows.set_index(["model", "measure"])["value"]
    found = studies[kind][4]
    assert set(found["model"]) == {"radiomics", "best single feature", "volume only"}
    assert len(expected) == 6
    for (model, measure), part in found.groupby(["model", "measure"]):
        by_name = part.set_index("what")["value"]
        apparent, none = by_name["apparent"], by_name["no information"]
        outside = by_name[by_name.index.str.startswith("outside sample")]
        assert len(outside) == QUICK["folds"] * QUICK["repeats"]
        sign = 1 if measure.endswith("Brier") else -1
        excess = sign * (outside.mean() - apparent)
        excess = min(excess, sign * (none - apparent))
        rate = excess / (sign * (none - apparent)) if excess > 0 else 0
        value = apparent + sign * 0.632 / (1 - 0.368 * rate) * excess
        assert expected[model, f"{measure}{CORRECTED}"] == pytest.approx(value, abs=1e-12)
    assert (rows["low_95"].isna() & rows["high_95"].isna()).all()


def stratified(rows, column):
    """Coefficient of a column in a Cox model with a baseline for each fold of each repeat."""
    from lifelines import CoxPHFitter

    rows = rows.assign(stratum=rows["repeat"] * 10 + rows["fold"], x=rows[column].astype(float))
    fitted = CoxPHFitter().fit(
        rows[["x", "time", "event", "stratum"]], "time", "event", strata="stratum"
    )
    return fitted.params_["x"]


def test_calibration_and_the_hazard_ratio_of_survival_follow_from_the_file(studies):
    from lifelines import KaplanMeierFitter

    predictions, performance, times, results, _ = studies["survival"]
    rows = predictions[predictions["model"] == "radiomics"]
    table = performance[performance["model"] == "radiomics"].set_index("measure")["value"]
    assert stratified(rows, "score") == pytest.approx(table["calibration slope"], rel=1e-4)
    found = results.calibration["radiomics"].slope.value
    assert table["calibration slope"] == pytest.approx(found, rel=1e-12)
    high = rows.assign(high=rows["score"] > rows["threshold"])
    ratio = table["hazard ratio of high against low risk"]
    assert np.exp(stratified(high, "high")) == pytest.approx(ratio, rel=1e-4)
    assert ratio == pytest.approx(results.groups.ratio.value, rel=1e-12)
    first = rows[rows["repeat"] == 1]
    curve = KaplanMeierFitter().fit(first["time"], first["event"])
    for horizon in times["horizons"]:
        expected = 1 - rows[f"event_free_at_{horizon:.10g}"].mean()
        ratio = (1 - curve.predict(horizon)) / expected
        assert table[f"observed / expected at {horizon:.3g}"] == pytest.approx(ratio, rel=1e-9)


def test_survival_at_the_horizons_is_in_the_file(studies):
    predictions, _, times, results, _ = studies["survival"]
    assert times["horizons"] == [4.0, 9.5]
    rows = predictions[(predictions["model"] == "radiomics") & (predictions["repeat"] == 1)]
    np.testing.assert_array_equal(
        rows["event_free_at_9.5"], results.event_free_at("radiomics", 1)[0]
    )
    assert (rows["event_free_at_4"] >= rows["event_free_at_9.5"]).all()
    assert rows["event_free_at_9.5"].between(0, 1).all()
