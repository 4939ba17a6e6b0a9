"""Internal–external validation: each site judged by models that never saw it, then pooled."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student
from small_studies import classes, features, study, times

from pancseg import fit_model
from pancseg.modelling.checked_tables import check_tables
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.internal_external import (
    SiteResult,
    leave_sites_out,
    pooled,
    pooled_over,
    refuse_sites,
)
from pancseg.modelling.report.sites_section import sites_section
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.validation.measures import Estimate

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}
SITES = np.repeat(["north", "south", "west"], 40)


@pytest.mark.parametrize(
    ("values", "errors", "wider"),
    [
        ([0.62, 0.81, 0.7, 0.55], [0.2, 0.25, 0.3, 0.2], False),
        ([0.52, 0.9, 0.7, 0.55, 0.85], [0.1, 0.35, 0.3, 0.15, 0.4], True),
    ],
)
def test_pooling_is_that_of_statsmodels(values, errors, wider):
    from statsmodels.stats.meta_analysis import combine_effects

    values, errors = np.array(values), np.array(errors)
    oracle = combine_effects(logit(values), errors**2, method_re="dl", use_t=True)
    found = pooled(values, errors)
    assert found.heterogeneity**2 == pytest.approx(oracle.tau2)
    assert found.value.value == pytest.approx(expit(oracle.mean_effect_re))
    knapp, plain = oracle.sd_eff_w_re_hksj, np.sqrt(oracle.var_eff_w_re)
    assert (knapp > plain) == wider
    error = max(knapp, plain)
    low, high = logit([found.value.low, found.value.high])
    assert (high - low) / 2 == pytest.approx(student.ppf(0.975, len(values) - 1) * error)
    wide = student.ppf(0.975, len(values) - 2) * np.sqrt(oracle.tau2 + error**2)
    assert found.new_site[1] == pytest.approx(expit(oracle.mean_effect_re + wide))


def test_equal_sites_have_no_heterogeneity_and_two_no_prediction():
    found = pooled(np.array([0.7, 0.7]), np.array([0.2, 0.2]))
    assert found.heterogeneity == 0
    assert found.value.value == pytest.approx(0.7)
    assert np.isnan(found.new_site).all()
    assert logit(found.value.high) - logit(0.7) == pytest.approx(
        student.ppf(0.975, 1) * 0.2 / np.sqrt(2)
    )


def test_the_outcomes_of_a_site_do_not_reach_the_model_that_judges_it():
    """With the classes of one site exchanged its AUC is 1 minus what it was."""
    x = features(0, n=120, p=5)
    y = classes(x, 1.5, 0)
    plan = study(x, y)
    before = leave_sites_out(plan, SITES, 100)
    turned = np.where(SITES == "south", 1 - y, y)
    after = leave_sites_out(replace(plan, y=turned, strata=turned), SITES, 100)
    assert [site.site for site in before] == ["north", "south", "west"]
    assert [site.rows for site in before] == [40, 40, 40]
    assert [site.positive for site in before] == [y[s == SITES].sum() for s in np.unique(SITES)]
    old, new = (found[1].measures["radiomics"].value for found in (before, after))
    assert old > 0.6
    assert new == pytest.approx(1 - old)


def test_survival_is_judged_by_harrells_c():
    x = features(1, n=120, p=5)
    y = times(x, 1.0, 1)
    found = leave_sites_out(study(x, y), SITES, 100)
    for site in found:
        assert site.positive == y["event"][site.site == SITES].sum()
        assert 0.5 < site.measures["radiomics"].value < 1
    assert pooled_over(found, "radiomics").sites == 3
    assert pooled_over(found, "volume only") is None


def test_a_site_in_perfect_order_is_pooled_by_its_interval_and_stops_nothing():
    """Its resamples are all alike: it had an infinite weight, or a ZeroDivisionError ended all."""
    random = np.random.default_rng(3)
    x, y = random.normal(size=(120, 3)), np.resize([0, 1], 120)
    x[:, 0] += 1.2 * y
    east = SITES == "west"
    x[east, 0] = 20.0 * y[east] + random.normal(size=40)
    found = leave_sites_out(study(x, y), SITES, 100)
    perfect = found[2].measures["radiomics"]
    assert perfect.value == 1
    error = (logit(1 - 0.5 / 40) - logit(perfect.low)) / 1.96
    assert found[2].errors["radiomics"] == pytest.approx(error)
    values = [site.measures["radiomics"].value for site in found]
    together = pooled_over(found, "radiomics")
    assert together.sites == 3
    assert min(values) < together.value.value < 1
    assert 0 <= together.new_site[0] < together.new_site[1] <= 1


def test_sites_in_nearly_perfect_order_agree():
    """Pooled: 1.000, 95 % interval 0.052 to 1.000. As logits 1 and 0.997 are far apart."""
    sites = [
        SiteResult(
            name, rows, rows, 20, {"radiomics": Estimate(value, 0.96, 1.0)}, {"radiomics": 0.8}
        )
        for name, rows, value in [("north", 42, 1.0), ("south", 54, 0.997), ("west", 54, 0.997)]
    ]
    found = pooled_over(sites, "radiomics")
    assert 0.98 < found.value.value < 1
    assert found.value.low > 0.9
    assert found.heterogeneity == 0


def perfect(values, rows=20):
    return [
        SiteResult(f"s{k}", rows, rows, 10, {"radiomics": Estimate(v, 0.8, 1.0)}, {"radiomics": e})
        for k, (v, e) in enumerate(values)
    ]


def test_sites_that_are_all_perfect_are_pooled_to_perfect():
    """Pooled 0.975: half a patient of 20 from 1, which none of the sites had."""
    sites = perfect([(1.0, 1.2)] * 6)
    found = pooled_over(sites, "radiomics")
    uncertain = pooled(np.full(6, 1 - 0.5 / 20), np.full(6, 1.2))
    assert (found.value.value, found.value.high) == (1, 1)
    assert found.value.low == uncertain.value.low < 0.95
    assert found.new_site == (uncertain.new_site[0], 1)
    line = sites_section(sites, "subtype", "site").rows[6]
    assert line == ["pooled", "", "", f"1.000 ({found.value.low:.3f} to 1.000)"]
    wrong = pooled_over(perfect([(0.0, 1.2)] * 6), "radiomics")
    assert (wrong.value.value, wrong.value.low) == (0, 0)
    assert wrong.value.high == pytest.approx(1 - found.value.low)


def test_a_pooled_value_is_within_the_range_of_its_sites():
    """Pooled 0.988, below both: 0.997 of 200 patients counts as it is, 1 of 20 as 0.975."""
    low, high = perfect([(0.997, 0.8)], 200), perfect([(1.0, 0.8)])
    found = pooled_over([*low, *high, *high], "radiomics")
    assert found.value.low < found.value.value == 0.997 <= found.value.high
    two = pooled_over([*low, *high], "radiomics")
    assert np.isnan(two.new_site).all()


def test_a_model_that_ranks_nobody_in_a_site_is_no_surer_than_random_ranks():
    x = np.random.default_rng(4).normal(size=(120, 3))
    y = np.resize([0, 1], 120)
    x[SITES == "west"] = 0.0
    found = leave_sites_out(study(x, y), SITES, 100)[2].measures["radiomics"]
    assert found.value == 0.5
    reach = 1.96 * np.sqrt(41 / (12 * 20 * 20))
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach))


@pytest.mark.parametrize("flat", [True, False])
def test_a_site_whose_patients_have_two_rows_each_is_no_surer(flat):
    """40 rows of 20 patients counted as 40 patients."""
    x, y = np.random.default_rng(5).normal(size=(120, 3)), np.resize([0, 0, 1, 1], 120)
    west = SITES == "west"
    x[:, 0] += 1.2 * y
    x[west, 0] = 20.0 * y[west] + x[west, 0]
    if flat:
        x[west] = 0.0
    plan = replace(study(x, y), groups=np.arange(120) // 2)
    site = leave_sites_out(plan, SITES, 100)[2]
    assert (site.rows, site.patients) == (40, 20)
    found = site.measures["radiomics"]
    if flat:
        assert found.high == pytest.approx(0.5 + 1.96 * np.sqrt(21 / (12 * 10 * 10)))
    else:
        assert found.value == 1
        error = (logit(1 - 0.5 / 20) - logit(found.low)) / 1.96
        assert site.errors["radiomics"] == pytest.approx(error)
    few = replace(plan, groups=np.where(west, 1000 + np.arange(120) // 10, plan.groups))
    assert not leave_sites_out(few, SITES, 100)[2].measures, "four patients of ten rows each"


@pytest.mark.parametrize(
    ("sites", "line"),
    [
        (["all"] * 120, "all rows are of one site"),
        (["big"] * 117 + ["b", "c", "d"], "without 'big' too few rows are left"),
        ([f"{n // 2}" for n in range(120)], "none of its 60 values has 5 patients of each class"),
    ],
)
def test_sites_that_cannot_be_left_out(sites, line):
    x = features(0, n=120, p=5)
    plan = study(x, classes(x, 1.0, 0))
    with pytest.raises(ValueError, match=line):
        refuse_sites(plan, np.array(sites), "site")
    with pytest.raises(ValueError, match="rows that stay together are of several sites"):
        refuse_sites(replace(plan, groups=np.arange(120) // 2), np.resize(["a", "b"], 120), "s")


@pytest.fixture
def tables(tmp_path):
    x = features(2, n=120, p=4)
    ids = pd.Index([f"P{i:03d}" for i in range(120)], name="id")
    pd.DataFrame(x, columns=[*"abc", "volume_ml"], index=ids).to_csv(tmp_path / "f.csv")
    table = pd.DataFrame({"class": classes(x, 1.5, 2), "site": SITES, "scanner": SITES}, index=ids)
    table.to_csv(tmp_path / "c.csv")
    return tmp_path / "f.csv", tmp_path / "c.csv"


def test_the_report_shows_each_site_and_the_pooled_value(tables, tmp_path):
    out = tmp_path / "out"
    results = fit_model(*tables, out, label="class", positive="1", leave_out="site", **QUICK)
    report = (out / "report.md").read_text()
    text = report.split("## Sites left out")[1].split("## ")[0]
    for site in results.sites:
        value = site.measures["radiomics"]
        assert f"| {site.site} | 40 | {site.positive} | {value.value:.3f} (" in text
    found = pooled_over(list(results.sites), "radiomics")
    assert f"| pooled |  |  | {found.value.value:.3f} (" in text
    assert f"| {found.new_site[0]:.3f} to {found.new_site[1]:.3f} |" in text
    assert (out / "sites.png").exists()


def test_sites_and_combat_exclude_each_other(tables):
    with pytest.raises(ValueError, match="`leave_out` and `batch` exclude each other"):
        fit_model(*tables, label="class", positive="1", leave_out="site", batch="scanner", **QUICK)
    with pytest.raises(ValueError, match="`leave_out`: neither the clinical file nor"):
        fit_model(*tables, label="class", positive="1", leave_out="hospital", **QUICK)


def test_sites_that_spreadsheets_would_run_are_refused_before_anything_is_fitted(tables):
    features_file, clinical = tables
    table = pd.read_csv(clinical, index_col="id").replace({"site": {SITES[0]: "=1+1"}})
    table.to_csv(clinical)
    settings = ModelSettings(kind="subtype", leave_out="site")
    with pytest.raises(ValueError, match=r"`leave_out` 'site': sites: 1 of 3 .* rename them"):
        check_tables(features_file, clinical, ("class",), settings, TableOptions())
