"""What the report says: the verdict first, checklists that claim what was done, true methods."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from pancseg import fit_model
from pancseg.modelling.report.checklists import metrics_items, tripod_items
from pancseg.modelling.report.clear_checklist import clear_items
from pancseg.modelling.report.study_facts import DONE, NOT_DONE, PART, StudyFacts

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 2, "canary": 0, "workers": 1}
N = 90


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    random = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("text")
    x = random.normal(size=(N, 3))
    x[:7, 1] = np.nan
    ids = pd.Index([f"P{i:03d}" for i in range(N)], name="id")
    pd.DataFrame(x, columns=["a", "b", "volume_ml"], index=ids).to_csv(folder / "f.csv")
    death, censored = random.exponential(10 * np.exp(-x[:, 0])), random.exponential(20, N)
    table = pd.DataFrame({"time": np.minimum(death, censored) + 0.1}, index=ids)
    table["event"] = death <= censored
    table["class"] = np.where(x[:, 0] + random.logistic(size=N) > 0, "high", "low")
    table["age"] = random.normal(60, 10, N).round()
    table.to_csv(folder / "c.csv")
    found = {}
    for kind, options in {
        "subtype": {"label": "class", "positive": "high", "clinical": "age"},
        "survival": {"time": "time", "event": "event"},
    }.items():
        out = folder / kind
        results = fit_model(folder / "f.csv", folder / "c.csv", out, **options, **QUICK)
        found[kind] = results, out, table
    return found


def prepare_again(out):
    from pancseg.modelling.checked_tables import check_tables
    from pancseg.modelling.fit import plan_study
    from pancseg.modelling.inputs.features_table import TableOptions
    from pancseg.modelling.settings import ModelSettings

    settings = ModelSettings(kind="subtype", positive="high", outer=3, inner=2, repeats=2)
    paths = out.parent / "f.csv", out.parent / "c.csv"
    options = TableOptions(clinical=("age",))
    return plan_study(check_tables(*paths, ("class",), settings, options))


def section(report, title):
    return report.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_verdict_says_what_in_whom_how_much_how_sure_and_what_speaks_against_it(reports):
    results, out, table = reports["subtype"]
    report = (out / "report.md").read_text()
    verdict = section(report, "Verdict")
    places = [
        verdict.index(f"**{word}") for word in ("What?", "In whom?", "How much?", "How sure?")
    ]
    assert places == sorted(places)
    positive = (table["class"] == "high").sum()
    assert f"{N} patients, {positive} high and {N - positive} low." in verdict
    assert "(2 repeats of 3 folds)" in verdict
    for sentence in results.verdict:
        assert sentence in verdict
    found = results.measures["radiomics"]["AUC"]
    assert f"AUC of radiomics spans {found.high - found.low:.3f}" in verdict
    against = verdict.split("**What speaks against it?**")[1]
    assert "* No external validation" in against
    assert f"* {N} patients: intervals are wide" in against
    assert report.index("## Verdict") < report.index("| model |")


def test_a_verdict_on_survival_counts_events(reports):
    _, out, table = reports["survival"]
    verdict = section((out / "report.md").read_text(), "Verdict")
    assert f"{N} patients, {table['event'].sum()} events." in verdict
    assert "What radiomics adds to them cannot be tested" not in verdict
    assert "No clinical variables (`clinical`)" in verdict


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_nothing_is_said_twice(reports, kind):
    """No sentence of a paragraph stands in the report again."""
    report = (reports[kind][1] / "report.md").read_text()
    lines = [line for line in report.splitlines() if line and line[0] not in "|#!"]
    sentences = [s for line in lines for s in line.removeprefix("* ").split(". ") if len(s) > 60]
    assert sorted(sentences) == sorted(set(sentences))
    titles = [line for line in report.splitlines() if line.startswith("## ")]
    assert len(titles) == len(set(titles))


def test_doubts_come_first_and_once(reports):
    from pancseg.modelling.report.verdict_section import verdict_section

    results, out, _ = reports["subtype"]
    study = prepare_again(out)
    doubt, other = "The column 'x' alone reaches 0.99.", "A site goes with the outcome."
    doubtful = replace(
        results, doubts=(doubt,), verdict=(doubt, *results.verdict, other, "Cause-specific: 3.")
    )
    lines = verdict_section(doubtful, study.joined, study.endpoint, [doubt, other]).lines
    assert lines[0] == f"**Doubtful.** {doubt}"
    text = "\n".join(lines)
    assert text.count(doubt) == text.count(other) == 1
    assert text.index(other) > text.index("**What speaks against it?**")
    assert text.index("Cause-specific: 3.") < text.index("**How sure?**")


def test_definitions_in_the_methods_are_those_of_the_analysis(reports):
    _, out, table = reports["survival"]
    times = yaml.safe_load((out / "settings.yaml").read_text())["times"]
    methods = section((out / "report.md").read_text(), "Methods, ready to paste")
    events = table["time"][table["event"]]
    assert times["integrated_brier"][-1] == pytest.approx(np.quantile(events, 0.9))
    assert times["horizons"] == pytest.approx(list(np.quantile(events, [0.25, 0.5, 0.75])))
    assert f"before τ = {np.quantile(events, 0.9):.4g} [time units]" in methods
    low, high = np.quantile(events, [0.05, 0.9])
    assert f"the time from {low:.4g} to {high:.4g}" in methods
    assert "scikit-learn 1." in methods
    subtype = section((reports["subtype"][1] / "report.md").read_text(), "Methods, ready to paste")
    assert "highest Youden index" in subtype
    assert "2 outer" not in subtype
    assert "3 outer and 2 inner folds" in subtype
    assert "in 2 repeats" in subtype


@pytest.mark.parametrize(
    ("kind", "ranked", "predictor"),
    [("subtype", "AUC", "log odds"), ("survival", "score test of a Cox model", "log hazard")],
)
def test_the_methods_define_every_candidate_that_the_report_names(reports, kind, ranked, predictor):
    """ "expected variance 0.5" and "0.1 of the largest penalty" had no definition anywhere."""
    methods = section((reports[kind][1] / "report.md").read_text(), "Methods, ready to paste")
    assert f"each alone ({ranked}), with a penalty of 0.5, 0.1 or 0.01 (of 2 " in methods
    assert "0.01 (of 2 features only) times the smallest that leaves no feature" in methods
    assert "elastic nets (l1 ratio 0.5) of all features or the 2 features that were" in methods
    assert f"the {predictor} has a variance of 0.02, 0.1 or 0.5 between patients" in methods


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_a_space_stands_before_every_per_cent_sign(reports, kind):
    text = "".join(path.read_text() for path in reports[kind][1].glob("*.md"))
    assert text.count(" %") > 20
    assert not re.search(r"[0-9]%", text)


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_words_that_nobody_would_write(reports, kind):
    report = (reports[kind][1] / "report.md").read_text()
    for word in ("silent", "| from |", "nan", "how manieth"):
        assert word not in report.lower()


FACTS = StudyFacts(
    survival=False, shown=True, compared=True, tested=True, clinical=("age",), volume=True,
    features=30,
    missing=0, incomplete=0, linear=True, candidates=6, stability=False, batch=False,
    subgroups=False, sites=False, folds="5×5×5 repeated nested cross-validation", samples=25,
    inner=5, resamples=1000, repeats=5, model="elastic-net", seed=0,
)  # fmt: skip


def states(items):
    return {item.item.split(".")[0]: (item.state, item.note) for item in items}


def test_the_checklists_are_complete():
    assert list(states(clear_items(FACTS))) == [str(n) for n in range(1, 59)]
    assert list(states(metrics_items(FACTS))) == [str(n) for n in range(1, 31)]
    tripod = list(states(tripod_items(FACTS)))
    assert len(tripod) == 52
    assert sorted({int(name.rstrip("abcdefg")) for name in tripod}) == list(range(1, 28))


def test_an_item_is_done_only_if_it_was():
    clear = states(clear_items(FACTS))
    assert clear["29"] == (DONE, "no value of a feature or clinical variable is missing")
    assert clear["34"][0] == DONE
    assert clear["35"][1].startswith("6 candidates, chosen by 5 inner folds")
    assert clear["38"][0] == PART
    assert clear["37"][0] == PART
    assert clear["42"][0] == clear["48"][0] == DONE
    volume = replace(FACTS, clinical=())
    assert states(clear_items(volume))["42"][0] == states(clear_items(volume))["48"][0] == PART
    assert states(clear_items(volume))["42"][1].startswith("volume alone, and chance; nothing com")
    assert states(metrics_items(volume))["24"][0] == PART
    assert "likelihood-ratio test" in clear["41"][1]
    assert "likelihood" not in states(clear_items(replace(FACTS, tested=False)))["41"][1]
    assert "external: not done" in clear["38"][1]
    gaps = replace(FACTS, missing=12, incomplete=3)
    assert states(clear_items(gaps))["29"][0] == PART
    assert "12 values in 3 columns missing" in states(clear_items(gaps))["29"][1]
    assert states(tripod_items(gaps))["11"][0] == PART
    forest = states(clear_items(replace(FACTS, linear=False, candidates=1, model="random-forest")))
    assert forest["34"][0] == PART
    assert "it has no formula" in forest["34"][1]
    output = states(tripod_items(replace(FACTS, linear=False, model="random-forest")))["15"]
    assert output == (DONE, "probabilities by `pancseg predict`; MODEL.md")
    assert "as a formula" in states(tripod_items(FACTS))["15"][1]
    assert forest["35"][1].startswith("one candidate, nothing was tuned")
    metrics = states(metrics_items(FACTS))
    assert metrics["27"][0] == metrics["14"][0] == NOT_DONE
    assert states(tripod_items(FACTS))["23a"][0] == PART
    assert states(tripod_items(FACTS))["23b"][0] == NOT_DONE
    assert states(tripod_items(replace(FACTS, sites=True)))["23b"][0] == DONE
    assert states(tripod_items(replace(FACTS, subgroups=True)))["23a"][0] == DONE


def test_nothing_of_performance_is_done_when_it_is_withheld():
    facts = replace(FACTS, shown=False, compared=False)
    for items, numbers in (
        (clear_items, ["38", "39", "40", "47"]),
        (tripod_items, ["12e", "15", "22", "23a"]),
        (metrics_items, ["18", "20", "21", "22", "24", "25", "26"]),
    ):
        found = states(items(facts))
        for number in numbers:
            assert found[number][0] == NOT_DONE, number
    withheld = NOT_DONE, "withheld: the canary found a leak"
    for number in ("36", "38", "39", "41", "42", "48"):
        assert states(clear_items(facts))[number] == withheld
    for number in ("19", "24", "25"):
        assert states(metrics_items(facts))[number] == withheld
    assert "ComBat" in states(metrics_items(replace(facts, batch=True)))["19"][1]
    assert "no formula" not in states(clear_items(facts))["34"][1]
    assert states(clear_items(facts))["34"][1].endswith("formula withheld: the canary found a leak")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"clinical": ()},
        {"batch": True},
        {"clinical": (), "volume": False, "compared": False},
        {"clinical": (), "volume": False, "compared": False, "batch": True},
        {"shown": False, "compared": False},
    ],
)
def test_two_checklists_give_one_answer_to_one_question(given):
    facts = replace(FACTS, **given)
    clear, metrics, tripod = (
        states(items(facts)) for items in (clear_items, metrics_items, tripod_items)
    )
    assert clear["7"] == metrics["1"]
    assert clear["15"] == tripod["12a"]
    assert metrics["18"] == (
        tripod["12a"] if facts.shown else (NOT_DONE, "the canary found a leak")
    )
    assert clear["18"] == tripod["8a"]
    assert clear["39"] == tripod["12e"]
    assert clear["41"][0] == (DONE if facts.shown else NOT_DONE)
    assert clear["36"] == metrics["19"]
    assert clear["42"][0] == metrics["24"][0]


def test_the_bootstrap_is_named_where_internal_validation_is_asked_for():
    bootstrap = "25 samples of the .632+ bootstrap"
    withheld = replace(FACTS, shown=False, compared=False, samples=0)
    for items, number in ((clear_items, "38"), (metrics_items, "26"), (tripod_items, "12c")):
        assert bootstrap in states(items(FACTS))[number][1]
        assert ".632+" not in states(items(withheld))[number][1]
        left_out = states(items(replace(FACTS, corrected=False)))[number][1]
        assert "patients left out of 25 bootstrap samples (no .632+ estimate)" in left_out
        assert bootstrap not in left_out


def test_what_the_saved_model_does_with_a_gap_is_said_as_it_is(reports):
    from pancseg import load_model

    results, out, _ = reports["subtype"]
    model = load_model(out).models["radiomics"]
    features = pd.read_csv(out.parent / "f.csv")
    for part in model.parts:
        for name, value in zip(part.names, part.scaling.median, strict=True):
            assert value == pytest.approx(features[name].median())
    said = "a number by the median of the training rows (in a 0/1 column by the mean), a text by"
    assert said in states(tripod_items(FACTS))["27a"][1]
    assert said in (out / "MODEL.md").read_text()
    assert "wording is ours" in (out / "TRIPOD.md").read_text()
    samples = results.corrected["radiomics"]["AUC"].samples
    assert f"{samples} samples of the .632+ bootstrap" in (out / "TRIPOD.md").read_text()


def test_the_files_of_the_checklists_count_the_missing_values(reports):
    _, out, _ = reports["subtype"]
    assert "| done in part | 7 values in 1 column missing;" in (out / "CLEAR.md").read_text()
    assert "52 parts: " in (out / "TRIPOD.md").read_text()
    assert "30 items: " in (out / "METRICS.md").read_text()


def test_the_report_says_which_code_means_event(reports):
    _, out, table = reports["survival"]
    events = int(table["event"].sum())
    follow_up = section((out / "report.md").read_text(), "Follow-up")
    said = f"Event: event = True ({events} rows); censored: event = False ({N - events} rows)."
    assert said in follow_up
    assert "coding: report.md, Follow-up" in (out / "TRIPOD.md").read_text()
    card = (reports["subtype"][1] / "TRIPOD.md").read_text()
    assert "horizons" not in card.split("8a. ")[1].split("\n")[0]


def test_every_code_is_counted_by_outcome():
    from pancseg.modelling.endpoint import _codes_by_outcome

    cells = pd.Series(["1", "1.0", "0", "2", "lost_1", "2"])
    event, rival = (cells.map(float_or_none) == k for k in (1, 2))
    found = _codes_by_outcome(cells, event.to_numpy(), rival.to_numpy())
    assert found == {
        "event": {"1": 2}, "competing event": {"2": 2}, "censored": {"0": 1, "lost_1": 1}
    }  # fmt: skip


def float_or_none(text):
    return float(text) if text[0].isdigit() else None


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_the_card_says_which_files_hold_what_of_patients(reports, kind):
    card = " ".join((reports[kind][1] / "MODEL.md").read_text().split())
    assert "The files hold no patient's row" not in card
    assert "predictions.csv and folds.csv hold a row per patient" in card
    assert "a salted hash of each training row (with its salt)" in card


def test_the_card_says_what_speaks_against_the_model(reports):
    for _, out, _ in reports.values():
        verdict = section((out / "report.md").read_text(), "Verdict")
        lines = verdict.split("**What speaks against it?**")[1].strip().split("\n\n")
        card = section((out / "MODEL.md").read_text(), "What speaks against it")
        assert len(lines) > 1
        assert all(line.startswith("* ") and line in card for line in lines)


def test_a_slope_far_from_1_is_told_as_far_as_its_interval_goes(reports):
    from pancseg.modelling.report.verdict_section import against_results
    from pancseg.modelling.validation.measures import Estimate

    results = reports["subtype"][0]
    fitted = results.calibration["radiomics"]

    def said(*slope):
        changed = {"radiomics": replace(fitted, slope=Estimate(*slope))}
        return " ".join(against_results(replace(results, calibration=changed)))

    assert "are too extreme. The saved" in said(0.4, 0.1, 0.7)
    assert "are too close to the average. The" in said(1.9, 1.2, 2.6)
    assert "may be too extreme (the interval holds 1). The" in said(0.4, 0.1, 1.2)
    assert "may be too close to the average (the interval holds 1)" in said(1.9, 0.8, 2.6)
    opposed = said(-0.3, -1.0, 0.4)
    assert "the predictions of radiomics do not go with the outcome. The saved" in opposed
    assert "may not go with the outcome (the interval holds 1)" in said(-0.3, -1.0, 1.2)
    assert "extreme" not in opposed
    unknown = said(0.4, np.nan, np.nan)
    assert "out of fold. The saved" in unknown
    assert "extreme" not in unknown
    assert "Calibration slope" not in said(0.9, 0.5, 1.3)
    assert "Calibration slope" not in said(np.nan, np.nan, np.nan)


def test_a_value_that_falls_in_sites_left_out_speaks_against_the_model(reports):
    """AUC 0.835 out of fold, 0.553 in sites left out, and the verdict called only the first."""
    from pancseg.modelling.internal_external import SiteResult
    from pancseg.modelling.report.verdict_section import against_results
    from pancseg.modelling.validation.measures import Estimate

    results, *_ = reports["subtype"]
    inside = results.measures["radiomics"]["AUC"]

    def told(value, error):
        one = {"radiomics": Estimate(value, value - 0.1, value + 0.1)}
        sites = tuple(SiteResult(name, 40, 40, 20, one, {"radiomics": error}) for name in "abcdef")
        return " ".join(against_results(replace(results, sites=sites)))

    assert "radiomics may have measured the site" in told(inside.low - 0.1, 0.1)
    assert "radiomics may have measured the site" not in told(inside.low - 0.1, 1.0)
    assert "radiomics may have measured the site" not in told(inside.low + 0.01, 0.1)


def test_sites_without_a_value_were_left_out_too(reports):
    """Five values of a column were left out in turn, and "each of 3 sites" was told."""
    from pancseg.modelling.internal_external import SiteResult
    from pancseg.modelling.report.verdict_section import _how_sure
    from pancseg.modelling.validation.measures import Estimate

    results, *_ = reports["subtype"]
    one = {"radiomics": Estimate(0.7, 0.6, 0.8)}
    sites = [SiteResult(name, 40, 40, 20, one, {"radiomics": 0.3}) for name in "abc"]
    sites += [SiteResult(name, 8, 8, 1, {}, {}) for name in "de"]
    said = " ".join(_how_sure(replace(results, sites=tuple(sites))))
    assert "With each of 5 sites left out in turn, " in said
    assert ", over the 3 with enough patients." in said
    said = " ".join(_how_sure(replace(results, sites=tuple(sites[:3]))))
    assert "With each of 3 sites left out in turn, " in said
    assert "enough patients" not in said


def test_models_in_perfect_order_in_every_site_are_not_said_to_have_measured_it(reports):
    """1.000 in ten sites of 20 was pooled to 0.975 and called below 0.997 to 1.000."""
    from pancseg.modelling.internal_external import SiteResult, pooled_over
    from pancseg.modelling.report.verdict_section import against_results
    from pancseg.modelling.validation.measures import Estimate

    results, *_ = reports["subtype"]
    inside = {"radiomics": results.measures["radiomics"] | {"AUC": Estimate(1.0, 0.997, 1.0)}}
    perfect = replace(results, measures=results.measures | inside)

    def told(values, errors):
        sites = tuple(
            SiteResult(
                str(k), 20, 20, 10, {"radiomics": Estimate(value, 0.0, 1.0)}, {"radiomics": e}
            )
            for k, (value, e) in enumerate(zip(values, errors, strict=True))
        )
        pooled = pooled_over(list(sites), "radiomics").value
        assert min(values) <= pooled.value <= max(values)
        return " ".join(against_results(replace(perfect, sites=sites)))

    assert "radiomics may have measured the site" not in told([1.0] * 10, [0.92] * 10)
    assert "radiomics may have measured the site" in told([0.8] * 10, [0.5] * 10)


def test_sites_left_out_are_no_external_validation_and_are_not_denied(reports):
    from pancseg.modelling.internal_external import SiteResult
    from pancseg.modelling.report.verdict_section import against_results

    results = reports["subtype"][0]
    assert "other scanners and hospitals were not tested" in against_results(results)[0]
    told = against_results(replace(results, sites=(SiteResult("a", 9, 9, 4, {}, {}),)))[0]
    assert told.startswith("No external validation: sites were left out in turn, but no cohort")
    assert "hospitals" not in told


def test_methods_and_card_tell_how_repeats_are_pooled(reports):
    subtype, survival = (
        section((reports[kind][1] / "report.md").read_text(), "Methods, ready to paste")
        for kind in ("subtype", "survival")
    )
    assert "out-of-fold probability, predictions of up to ten repeats pooled;" in subtype
    assert "stratified by repeat and fold (ten repeats at most), with Efron's ties" in survival
    assert "stratified by fold" not in survival
    assert "Radiomics was said not to be shown to be more than volume where both" in survival
    report = (reports["survival"][1] / "report.md").read_text()
    assert "where a calibrated model gains most over treating all or none" in report
    card = (reports["survival"][1] / "MODEL.md").read_text()
    assert f"in {N} patients: 2 repeats of 3 outer and 2 inner folds" in card


def test_patients_under_two_ids_are_on_the_card_without_their_ids(reports):
    from pancseg.modelling.doubts import doubts_of

    study = prepare_again(reports["subtype"][1])
    joined = study.joined
    values = joined.features.to_numpy().copy()
    values = np.column_stack([values, np.random.default_rng(0).normal(size=(len(values), 8))])
    values[1] = values[0] * (1 + 1e-6)
    twins = replace(joined, features=pd.DataFrame(values, index=joined.features.index))
    (doubt,) = doubts_of(twins, study.endpoint)
    assert "'P000'" in doubt.text
    assert "P00" not in doubt.without_ids
    assert doubt.without_ids.startswith("1 pair of patients is nearly the same in all features. ")


def test_a_difference_that_rounds_to_zero_has_no_sign():
    from pancseg.modelling.report.parts import digits, number
    from pancseg.modelling.validation.measures import Estimate
    from pancseg.modelling.verdict import interval

    assert interval(Estimate(-0.0004, -0.02, 0.01)) == "0.000, 95 % interval −0.020 to 0.010"
    assert number(-0.0004) == "0.000"
    assert number(-0.0006) == "−0.001"
    assert digits(-0.0) == "0"


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_the_corrected_column_stands_beside_the_one_out_of_fold(reports, kind):
    results, out, _ = reports[kind]
    performance = section((out / "report.md").read_text(), "Performance")
    rows = [line.strip("| ").split(" | ") for line in performance.splitlines() if line[:1] == "|"]
    found = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
    for measure in ("AUC", "Brier") if kind == "subtype" else ("Harrell's C", "integrated Brier"):
        assert rows[0].index(f"{measure}, .632+") == rows[0].index(measure) + 1
        for name, corrected in results.corrected.items():
            assert found[name][f"{measure}, .632+"] == f"{corrected[measure].value:.3f}"
        assert found["chance"][f"{measure}, .632+"] == "–"
    assert "are of 6 bootstrap samples" in performance
    main = "AUC" if kind == "subtype" else "Harrell's C"
    apparent = results.corrected["radiomics"][main].apparent
    verdict = section((out / "report.md").read_text(), "Verdict")
    assert f"{apparent:.3f} in the patients that it was fitted to" in verdict


def test_the_weights_of_the_auc_are_named(reports):
    report = (reports["survival"][1] / "report.md").read_text()
    assert "each case weighted by the inverse probability of being uncensored" in report
    assert "with the same weighting" not in report


def test_net_benefit_has_its_threshold_and_horizon(reports):
    for kind in ("subtype", "survival"):
        _, out, table = reports[kind]
        share = f"{100 * (table['class'] == 'high').mean():.0f} %"
        named = f"net benefit (threshold {share})" if kind == "subtype" else "net benefit (thresh"
        performance = section((out / "report.md").read_text(), "Performance")
        assert f"| {named}" in performance
        assert "The threshold is the mean risk of the cohort" in performance
        assert f"| {named}" in (out / "MODEL.md").read_text()
    assert "by " in performance.split("(threshold ")[1].split(")")[0]


def test_how_both_sides_were_fitted(reports):
    report = (reports["subtype"][1] / "report.md").read_text()
    assert (
        "that of radiomics is penalised and tuned, those of volume, one feature and clinical "
        "variables are practically unpenalised" in report
    )
    assert "volume alone, the clinical variables alone and the best single feature" in report
    assert "fitted by this algorithm" not in report


def test_the_methods_say_which_intervals_are_widened(reports):
    survival = (reports["survival"][1] / "report.md").read_text()
    assert (
        "Those of the hazard ratio of the groups and of decision curves are widened by" in survival
    )
    assert "Those of the integrated Brier score leave out how much weight for censoring" in survival
    assert (
        "Where the interval of Harrell's C holds 0.5, that of the calibration slope is" in survival
    )
    assert "close to 1 by construction" in section(survival, "Calibration")
    classes = (reports["subtype"][1] / "report.md").read_text()
    assert "That of calibration in the large is not widened." in classes
    assert "Where the interval of AUC holds 0.5, that of the calibration slope is" in classes
    assert "near the share of the class by construction" in section(classes, "Calibration")
    for report in (survival, classes):
        assert "ICI intervals are re-centred on the estimate." in report
        assert "jackknife pseudo-values over folds" in report
        assert "is not below that of the plain difference, in which no model below" in report


def test_few_features_are_all_shown(reports):
    report = (reports["subtype"][1] / "report.md").read_text()
    assert "The 20 features used most often" not in report
    assert "features used.\n" in section(report, "Features of the model")


def test_the_spread_of_predictions_is_said_as_it_is(reports):
    _, out, table = reports["survival"]
    report = (out / "report.md").read_text()
    verdict = section(report, "Verdict")
    assert "Each patient was predicted once in each of the 2 repeats, by models" in verdict
    apart = verdict.split("for half of the patients the predicted risks of an event by ")[1]
    apart = float(apart.split(" are ")[1].split(" or more apart.")[0])
    own = pd.read_csv(out / "predictions.csv").query("model == 'radiomics'")
    settings = yaml.safe_load((out / "settings.yaml").read_text())
    middle = settings["times"]["horizons"][1]
    (column,) = [c for c in own if c == f"event_free_at_{middle:.10g}"]
    spread = own.groupby("id")[column].agg(lambda free: free.max() - free.min())
    assert apart == pytest.approx(spread.median(), abs=6e-4)
    stability = section(report, "Stability of individual predictions")
    words = "whose training rows overlap, so the spread over new samples would be larger"
    assert words in stability
    assert "| mean absolute difference from the patient's mean |" in stability
    events = int(table["event"].sum())
    columns = len(pd.read_csv(out.parent / "f.csv").columns) - 1
    patients = section(report, "The patients")
    assert f"{events} events, {columns} candidate columns: " in patients


def test_checklists_name_only_what_was_given():
    alone = replace(FACTS, clinical=(), batch=True)
    for facts, words in ((alone, "clinical variables"), (replace(FACTS, volume=False), "volume")):
        for items, numbers in (
            (clear_items, ["36", "42", "44"]),
            (tripod_items, ["20b"]),
            (metrics_items, ["19", "24", "25"]),
        ):
            found = states(items(facts))
            for number in numbers:
                assert words not in found[number][1], number
    assert states(clear_items(alone))["36"] == (
        PART,
        "scanner or site effects removed by ComBat (`batch`); volume compared with radiomics: "
        "report.md; which confounders there are is yours to say",
    )
    assert "ComBat" not in states(clear_items(FACTS))["36"][1]
    assert "ComBat" not in states(metrics_items(FACTS))["19"][1]
    nothing = replace(FACTS, clinical=(), volume=False, compared=False)
    assert states(metrics_items(nothing))["19"] == (
        NOT_DONE,
        "nothing was given (`clinical`, `volume`, `batch`)",
    )
    assert states(metrics_items(nothing))["25"] == (DONE, "linear models of one feature; report.md")
    assert states(clear_items(nothing))["41"][0] == DONE
    assert "follow-up" not in states(tripod_items(FACTS))["20a"][1]
    assert "follow-up" in states(tripod_items(replace(FACTS, survival=True)))["20a"][1]


def test_fixed_texts_name_the_model_and_the_groups_used(reports):
    subtype, survival = ((reports[k][1] / "report.md").read_text() for k in ("subtype", "survival"))
    assert "(logistic regression, scores centred within folds, one-sided" in subtype
    assert "score of the radiomics model (log odds)" in subtype
    assert "(Cox regression, scores centred within folds, one-sided" in survival
    card = (reports["subtype"][1] / "MODEL.md").read_text()
    assert "Performance within groups of patients was not looked at (`subgroup`)" in card


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_the_methods_state_the_rule_by_which_the_verdict_says_better(reports, kind):
    from pancseg.modelling.report.methods.uncertainty import _rule
    from pancseg.modelling.validation.comparison import Comparison
    from pancseg.modelling.validation.measures import Estimate
    from pancseg.modelling.verdict import is_better

    results, out, _ = reports[kind]
    main = "the AUC" if kind == "subtype" else "Harrell's C"
    methods = section((out / "report.md").read_text(), "Methods, ready to paste")
    above = f"where the interval of the difference in {main} lay above 0 (another model below 0.5 "
    assert above + "counted as 0.5) and the likelihood-ratio p was below 0.05." in methods
    assert f"better than chance where the interval of {main} lay above 0.5;" in methods
    two_rows = np.repeat(results.plan.groups[: len(results.plan.groups) // 2], 2)
    of_patients = _rule(replace(results, plan=replace(results.plan, groups=two_rows)))
    assert "there is no test and the interval alone decided" in of_patients
    nothing = Estimate(*[float("nan")] * 3)
    for low, p, better in (
        (0.001, 0.049, True), (0.001, 0.05, False), (0.0, 0.01, False), (0.001, np.nan, True),
    ):  # fmt: skip
        found = Comparison(Estimate(0.1, low, 0.2), nothing, nothing, p)
        assert is_better(found) is better


@pytest.mark.parametrize(
    ("repeats", "where"),
    [(1, ""), (2, " in both repeats"), (5, " in more than half of the 5 repeats")],
)
def test_risk_groups_are_told_for_any_number_of_repeats(reports, repeats, where):
    from pancseg.modelling.report.survival_sections import risk_groups_section

    results, out, _ = reports["survival"]
    folds = np.resize(results.validation.folds, (repeats, N))
    many = replace(results, validation=replace(results.validation, folds=folds))
    lines = " ".join(risk_groups_section(many, prepare_again(out).joined).lines)
    where = where and f",{where}"
    assert f"whom the model was fitted to{where}, and low risk otherwise." in lines
    assert ("that each repeat forms" in lines) is (repeats > 1)


def test_the_canary_is_of_the_model_that_the_report_names(reports):
    from pancseg.modelling.report.report import _canary
    from pancseg.modelling.validation.canary import Canary

    results = replace(
        reports["subtype"][0], canaries=[Canary("noise", (0.5, 0.49, 0.51), 0.5, 0.48)]
    )
    assert _canary(results).caption.startswith("Mean AUC of the model radiomics on data without")


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_a_setting_that_no_outer_model_had_is_told(reports, kind):
    from pancseg.modelling.report.model_numbers import tuned
    from pancseg.modelling.report.verdict_section import against_results

    results, out, _ = reports[kind]
    tuning = tuned(results)["radiomics"]
    card = (out / "MODEL.md").read_text()
    assert tuning.models == 6
    assert f"each tuned for itself; {tuning.alike} of them had this setting." in card
    assert f"; the same as in {tuning.alike} of 6 outer models." in (out / "report.md").read_text()
    own = results.validation.models["radiomics"]
    count = len(results.plan.specs[0].candidates)
    saved = results.final["radiomics"].choice
    for other, told in ((saved, False), ((saved + 1) % count, True)):
        models = results.validation.models | {"radiomics": replace(own, choices=(other,) * 6)}
        validation = replace(results.validation, models=models)
        lines = " ".join(against_results(replace(results, validation=validation)))
        said = f"({tuning.chosen}) that none of the 6 outer models had; they had: "
        assert (said in lines) is told


def test_a_correction_that_cannot_be_trusted_is_not_given(reports):
    """Of a forest on noise, 0.7 in those left out of few samples was 0.76 in the report."""
    from pancseg.modelling.optimism import Corrected
    from pancseg.modelling.outputs.performance_table import performance_table as file_of
    from pancseg.modelling.report.performance_section import performance_section
    from pancseg.modelling.report.verdict_section import _how_sure

    results = reports["subtype"][0]
    forest = {
        "AUC": Corrected(1.0, np.full(25, 0.7), 0.5, is_loss=False),
        "Brier": Corrected(0.05, np.full(25, 0.25), 0.3, is_loss=True),
    }
    found = replace(results, corrected={**results.corrected, "radiomics": forest})
    table = performance_section(found)
    column = table.header.index("AUC, .632+")
    rows = {row[0]: row[column] for row in table.rows}
    assert rows["radiomics"] == "–"
    assert rows["volume only"] != "–"
    assert "Monte Carlo" not in " ".join(table.notes)
    note = " ".join(table.notes)
    assert "(AUC of 0.99 or more in its own patients, below 0.95 in those left out)" in note
    sure = " ".join(_how_sure(found))
    assert "and 0.700 in those left out of 25 bootstrap samples (mean; no .632+" in sure
    written = file_of(found)
    given = written[written["measure"] == "AUC, .632+"]["model"]
    assert set(given) == set(results.corrected) - {"radiomics"}


def test_an_estimate_at_its_limit_is_not_told_to_be_without_error(reports):
    """Where no sample has information, all of them agree on 0.5: "would vary by about 0.000"."""
    from pancseg.modelling.optimism import Corrected
    from pancseg.modelling.report.performance_section import _varies

    flat = Corrected(0.6, np.array([0.44, 0.47, 0.41]), 0.5, False)
    assert (flat.value, flat.error) == (0.5, 0)
    assert _varies(flat, "AUC") == ""
    told = Corrected(0.8, np.array([0.7, 0.72]), 0.5, False)
    assert "Monte Carlo standard error" in _varies(told, "AUC")
    assert "worse than that counts as that" in (reports["subtype"][1] / "report.md").read_text()


def test_classes_that_are_numbers_are_not_read_as_counts():
    """The verdict read "100 patients, 46 1 and 54 0"."""
    from pancseg.modelling.endpoint import Endpoint
    from pancseg.modelling.report.cohort_section import outcome_counts

    y = np.repeat([0, 1], [54, 46])
    assert outcome_counts(Endpoint("subtype", y, ("y",), ("0", "1"))) in (
        "46 of class 1, 54 of class 0",
        "54 of class 0, 46 of class 1",
    )
    assert "46 high" in outcome_counts(Endpoint("subtype", y, ("y",), ("low", "high")))
