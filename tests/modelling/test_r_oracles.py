"""What `pancseg model` computes and prints, against R's survival, cmprsk and pROC.

Where definitions differ, the test says how, and R is asked for pancseg's. Decision curves, Brier
scores and time-dependent AUCs are written out in R, with R's own weights for censoring.
"""

import numpy as np
import pandas as pd
import pytest
import yaml
from r_oracle import ask, missing

from pancseg import fit_model
from pancseg.modelling.competing_events import RATIOS, hazard_ratios
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.competing import cumulative_incidence, fine_gray
from pancseg.modelling.estimators.cox import CoxElasticNet, CoxFew, kaplan_meier
from pancseg.modelling.estimators.cox_solver import newton_cox, partial_loss, score_test
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.report.cohort_section import (
    kaplan_meier_points,
    median_follow_up,
    median_time,
)
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.calibration import (
    cox_slope,
    in_the_large,
    logistic_line,
    smooth_curve,
)
from pancseg.modelling.validation.comparison import added
from pancseg.modelling.validation.net_benefit import (
    class_status,
    decision_curve,
    net_benefit,
    status_at,
)
from pancseg.modelling.validation.observed_expected import observed_over_expected

pytestmark = pytest.mark.usefixtures("r_is_here")
EXACT = {"abs": 1e-6, "rel": 1e-6}
SURVIVAL = "suppressPackageStartupMessages(library(survival))\n"


@pytest.fixture(scope="module")
def r_is_here(request):
    if lacking := missing():
        reason = f"R is needed as an oracle; not installed: {', '.join(lacking)}"
        if request.config.getoption("--require-data"):
            pytest.fail(reason)
        pytest.skip(reason)


def rossi():
    """Recidivism in weeks: 114 events in 49 weeks, all others censored in week 52."""
    from lifelines.datasets import load_rossi

    table = load_rossi().rename(columns={"week": "time", "arrest": "event"})
    return table.astype(float)


def tied(n=150, seed=3):
    """Months rounded up, where events and censorings are tied with each other; two causes."""
    random = np.random.default_rng(seed)
    z = random.normal(size=n).round(1)
    death, lost = random.exponential(10 * np.exp(-z)), random.exponential(15, n)
    table = pd.DataFrame({"time": np.ceil(np.minimum(death, lost)), "z": z})
    table["group"] = random.integers(0, 2, n).astype(float)
    table["event"] = (death <= lost).astype(float)
    table["cause"] = np.where(death <= lost, 1, random.integers(0, 2, n) * 2)
    return table


def outcome(table):
    return survival_outcome(table["event"] == 1, table["time"].to_numpy(float))


def concordance(pairs, score):
    every = np.ones((1, len(score)))
    return measures.pair_measure([(np.arange(len(score)), np.asarray(score), pairs)], every)[0]


TABLES = {"rossi": (rossi, ["fin", "age", "prio"]), "tied": (tied, ["z", "group"])}


@pytest.mark.parametrize("name", TABLES)
def test_a_cox_model_is_that_of_coxph(name, tmp_path):
    make, columns = TABLES[name]
    table = make()
    x, y = table[columns].to_numpy(), outcome(table)
    at = np.quantile(y["time"][y["event"]], [0.1, 0.5, 1.0])
    script = f"""{SURVIVAL}
    f <- coxph(Surv(time, event) ~ {" + ".join(columns)}, data = t, ties = "efron",
               control = coxph.control(eps = 1e-12, iter.max = 50))
    tell("coefficients", coef(f)); tell("log", f$loglik); tell("score", f$score)
    tell("ratio", 2 * diff(f$loglik))
    free <- summary(survfit(f, newdata = t[1:3, ]), times = at$time)$surv
    tell("free", as.vector(t(free)))
    """
    script = script.replace("as.vector(t(free))", "as.vector(free)")
    r = ask(tmp_path, script, t=table, at=pd.DataFrame({"time": at}))
    found = newton_cox(x, y, 0.0, 0.0)
    assert found == pytest.approx(r["coefficients"], **EXACT)
    log = [-len(y) * partial_loss(score, y) for score in (np.zeros(len(y)), x @ found)]
    assert log == pytest.approx(r["log"], **EXACT)
    assert 2 * (log[1] - log[0]) == pytest.approx(r["ratio"][0], **EXACT)
    model = CoxElasticNet(0.0, 0.0).fit(x, y)
    free = model.predict_survival(x[:3], at)
    assert free.T.ravel(order="F") == pytest.approx(r["free"], **EXACT)


def test_the_few_columns_of_a_clinical_model_are_a_ridge_of_a_tenth_of_a_patient(tmp_path):
    """pancseg's models of few columns have a weak ridge; R's ``ridge`` has theta / 2 · Σβ²."""
    table = rossi()
    columns = ["fin", "age", "prio"]
    z = table[columns].to_numpy()
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    table[columns] = z
    script = f"""{SURVIVAL}
    f <- coxph(Surv(time, event) ~ ridge(fin, age, prio, theta = 0.1, scale = FALSE), data = t,
               control = coxph.control(eps = 1e-12, iter.max = 50))
    tell("coefficients", coef(f))
    """
    found = CoxFew().fit(z, outcome(table)).coef_
    assert found == pytest.approx(ask(tmp_path, script, t=table)["coefficients"], **EXACT)
    assert found != pytest.approx(newton_cox(z, outcome(table), 0.0, 0.0), **EXACT)


@pytest.mark.parametrize("name", TABLES)
def test_concordance_is_that_of_r(name, tmp_path):
    """Uno's events are weighted by 1 / G(t−)², at censorings of the same time too.

    scikit-survival weights them by 1 / G(t)². R counts events up to ``ymax``, pancseg those before
    ``tau``.
    """
    make, columns = TABLES[name]
    table = make()
    y, score = outcome(table), table[columns[-1]].to_numpy()
    tau = float(np.quantile(y["time"][y["event"]], 0.8))
    script = f"""{SURVIVAL}
    of <- function(...) concordance(Surv(time, event) ~ score, data = t, reverse = TRUE, ...)
    tell("harrell", of()$concordance)
    tell("uno", of(timewt = "n/G2")$concordance)
    tell("uno to tau", of(timewt = "n/G2", ymax = tau$tau - 1e-6)$concordance)
    """
    tables = {"t": table.assign(score=score), "tau": pd.DataFrame({"tau": [tau]})}
    r = ask(tmp_path, script, **tables)
    assert measures.harrell(y, score) == pytest.approx(r["harrell"][0], **EXACT)
    assert concordance(measures.harrell_pairs(y), score) == pytest.approx(r["harrell"][0], **EXACT)
    uno = concordance(measures.uno_pairs(y, y, np.inf), score)
    assert uno == pytest.approx(r["uno"][0], **EXACT)
    until = concordance(measures.uno_pairs(y, y, tau), score)
    assert until == pytest.approx(r["uno to tau"][0], **EXACT)


@pytest.mark.parametrize("name", TABLES)
def test_kaplan_meier_and_its_medians_are_survfits(name, tmp_path):
    """Intervals are log-log; R's default is ``conf.type = "log"``."""
    table = TABLES[name][0]()
    y = outcome(table)
    at = np.quantile(y["time"][y["event"]], [0.2, 0.5, 0.9])
    script = f"""{SURVIVAL}
    of <- function(event) survfit(Surv(t$time, event) ~ 1, conf.type = "log-log")
    curve <- summary(of(t$event), times = at$time)
    tell("free", curve$surv); tell("low", curve$lower); tell("high", curve$upper)
    tell("risk", curve$n.risk)
    told <- c("median", "0.95LCL", "0.95UCL")
    tell("median", summary(of(t$event))$table[told])
    tell("follow-up", summary(of(1 - t$event))$table[told])
    """
    r = ask(tmp_path, script, t=table, at=pd.DataFrame({"time": at}))
    points = kaplan_meier_points(y, at)
    for name_of, values in (
        ("free", [p.event_free.value for p in points]),
        ("low", [p.event_free.low for p in points]),
        ("high", [p.event_free.high for p in points]),
        ("risk", [p.at_risk for p in points]),
    ):
        assert values == pytest.approx(r[name_of], **EXACT)
    assert kaplan_meier(y, at) == pytest.approx(r["free"], **EXACT)
    for found, expected in ((median_time(y), "median"), (median_follow_up(y), "follow-up")):
        ends = [found.value, found.low, found.high]
        assert ends == pytest.approx(r[expected], nan_ok=True, **EXACT)


def test_the_score_test_is_coxphs_and_without_ties_the_log_rank_test(tmp_path):
    table = tied()
    untied = table.assign(time=table["time"] + np.linspace(0, 0.5, len(table)))
    script = f"""{SURVIVAL}
    tell("tied", coxph(Surv(time, event) ~ group, data = tied)$score)
    tell("log-rank", survdiff(Surv(time, event) ~ group, data = untied)$chisq)
    """
    r = ask(tmp_path, script, tied=table, untied=untied)
    for each, name in ((table, "tied"), (untied, "log-rank")):
        found = score_test(each[["group"]].to_numpy(), outcome(each))[0]
        assert found == pytest.approx(r[name][0], **EXACT)


def test_the_likelihood_ratio_test_of_an_added_score_is_that_of_nested_models(tmp_path):
    """pancseg's has a weak ridge, which only matters where a score separates all patients."""
    table = rossi()
    y, random = outcome(table), np.random.default_rng(0)
    a, b = (table[name].to_numpy() for name in ("prio", "age"))
    table["a"], table["b"] = a, b
    table["class"] = (a / 3 + random.logistic(size=len(a)) > 1).astype(float)
    table["p"], table["q"] = (1 / (1 + np.exp(-v)) for v in (a / 5 - 1, b / 20 - 1))
    script = f"""{SURVIVAL}
    p_of <- function(chi2) pnorm(-sqrt(chi2))
    m <- function(f) coxph(f, data = t)$loglik[2]
    cox <- 2 * (m(Surv(time, event) ~ b + a) - m(Surv(time, event) ~ b))
    g <- function(f) as.numeric(logLik(glm(f, data = t, family = binomial, epsilon = 1e-12)))
    logistic <- 2 * (g(class ~ qlogis(q) + qlogis(p)) - g(class ~ qlogis(q)))
    tell("cox", p_of(cox)); tell("logistic", p_of(logistic))
    """
    r = ask(tmp_path, script, t=table)
    folds = np.zeros((1, len(a)), int)
    assert added(y, a[None], b[None], folds) == pytest.approx(r["cox"][0], rel=2e-3)
    p, q, called = (table[name].to_numpy() for name in ("p", "q", "class"))
    found = added(called, p[None], q[None], folds)
    assert found == pytest.approx(r["logistic"][0], rel=2e-3)


def test_competing_events_are_those_of_survival_and_cmprsk(tmp_path):
    """``crr`` takes events for later than censorings of the same time: here they are untied.

    ``finegray`` takes them for earlier, as Kaplan and Meier's curve and pancseg do.
    """
    table = tied()
    at = pd.DataFrame({"time": [2.0, 5.0, 12.0]})
    script = f"""{SURVIVAL}
    suppressPackageStartupMessages(library(cmprsk))
    aj <- survfit(Surv(time, factor(cause)) ~ 1, data = t)
    tell("incidence", summary(aj, times = at$time)$pstate[, 2])
    tell("cuminc", timepoints(cuminc(t$time, t$cause), at$time)$est[1, ])
    long <- finegray(Surv(time, factor(cause)) ~ ., data = t, etype = "1")
    f <- coxph(Surv(fgstart, fgstop, fgstatus) ~ z + group, weights = fgwt, data = long,
               ties = "breslow", control = coxph.control(eps = 1e-12, iter.max = 50))
    tell("finegray", coef(f))
    later <- t$time + 1e-6 * (t$cause == 0)
    for (way in c("tied", "untied")) {{
      time <- if (way == "tied") t$time else later
      c <- crr(time, t$cause, t[, c("z", "group")], gtol = 1e-12, maxiter = 50)
      tell(way, c$coef); tell(paste(way, "error"), sqrt(diag(c$var)))
    }}
    """
    r = ask(tmp_path, script, t=table, at=at)
    time, cause = table["time"].to_numpy(), table["cause"].to_numpy()
    shares = cumulative_incidence(time, cause, at["time"].to_numpy())
    assert shares == pytest.approx(r["incidence"], **EXACT)
    assert shares == pytest.approx(r["cuminc"], **EXACT)
    found = fine_gray(table[["z", "group"]].to_numpy(), time, cause)
    assert found == pytest.approx(r["finegray"], **EXACT)
    assert found == pytest.approx(r["untied"], **EXACT)
    assert found != pytest.approx(r["tied"], rel=1e-3)


def test_the_interval_of_fine_and_grays_ratio_is_as_wide_as_crrs(tmp_path):
    """pancseg's is of a bootstrap, as rows may be of one patient; crr's of a sandwich variance."""
    table = tied()
    table["time"] += 0.5 * (table["cause"] == 0)  # crr's ties
    y = outcome(table)
    endpoint = Endpoint("survival", y, ("time", "cause"), cause=table["cause"].to_numpy())
    z = table["z"].to_numpy() / table["z"].std(ddof=0)
    script = """
    suppressPackageStartupMessages(library(cmprsk))
    c <- crr(t$time, t$cause, t$z, gtol = 1e-12, maxiter = 50)
    tell("ends", summary(c)$conf.int[1, c(1, 3, 4)])
    """
    value, low, high = ask(tmp_path, script, t=table.assign(z=z))["ends"]
    found = hazard_ratios(endpoint, z, np.arange(len(z)), 0)[RATIOS[0]]
    assert found.value == pytest.approx(value, **EXACT)
    assert [found.low, found.high] == pytest.approx([low, high], rel=0.05)


def cancer():
    """Breast cancer of 569 women: a risk from two columns, one of few distinct values."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    x = data.data[["mean texture", "mean smoothness"]]
    z = (x - x.mean()) / x.std()
    y = 1 - data.target.to_numpy()
    return y, (1 / (1 + np.exp(-(z.sum(axis=1) - 0.3)))).round(2).to_numpy()


def test_measures_of_a_class_are_those_of_proc_and_glm(tmp_path):
    y, risk = cancer()
    script = """
    suppressPackageStartupMessages(library(pROC))
    curve <- roc(t$y, t$risk, levels = c(0, 1), direction = "<", quiet = TRUE)
    tell("auc", auc(curve))
    best <- coords(curve, "best", best.method = "youden")
    tell("best", unlist(best[1, ]))
    tell("brier", mean((t$y - t$risk)^2))
    x <- qlogis(t$risk)
    fit <- function(...) glm(..., family = binomial, control = glm.control(epsilon = 1e-14))
    tell("line", coef(fit(t$y ~ x)))
    tell("in the large", coef(fit(t$y ~ offset(x))))
    tell("ratio", sum(t$y) / sum(t$risk))
    o <- loess(y ~ risk, data = t, span = 0.75, degree = 1,
               control = loess.control(surface = "direct"))
    tell("smooth", pmin(pmax(predict(o, grid$risk), 0), 1))
    called <- function(p) t$risk >= p
    gain <- function(p) (sum(called(p) & t$y == 1) - sum(called(p) & t$y == 0) * p / (1 - p))
    tell("gain", sapply(c(0.1, 0.37, 0.5, 0.8), gain) / nrow(t))
    """
    one = np.ones((1, len(y)))
    curve = smooth_curve(risk[None], class_status(y)[None], np.ones((3, len(y))))
    tables = {"t": pd.DataFrame({"y": y, "risk": risk}), "grid": pd.DataFrame({"risk": curve.risk})}
    r = ask(tmp_path, script, **tables)
    assert measures.auc(y, risk) == pytest.approx(r["auc"][0], **EXACT)
    assert concordance(measures.class_pairs(y), risk) == pytest.approx(r["auc"][0], **EXACT)
    threshold = measures.best_threshold(y, risk)
    called = risk >= threshold
    found = [threshold, 1 - called[y == 0].mean(), called[y == 1].mean()]
    assert found == pytest.approx(r["best"], **EXACT)
    assert ((risk - y) ** 2).mean() == pytest.approx(r["brier"][0], **EXACT)
    slope, intercept = logistic_line(y, risk, one)
    assert [intercept[0], slope[0]] == pytest.approx(r["line"], **EXACT)
    assert in_the_large(y, risk, one) == pytest.approx(r["in the large"], **EXACT)
    assert observed_over_expected(y, risk, one) == pytest.approx(r["ratio"], **EXACT)
    assert curve.observed == pytest.approx(r["smooth"], **EXACT)
    ici = np.abs(np.interp(risk, curve.risk, r["smooth"]) - risk).mean()
    assert curve.ici.value == pytest.approx(ici, **EXACT)
    at = np.array([0.1, 0.37, 0.5, 0.8])
    assert net_benefit(risk, class_status(y), at).mean(axis=0) == pytest.approx(r["gain"], **EXACT)


WEIGHTS = """
weights_at <- function(t, of, h) {  # of whoever has, and has not, the event by h
  g <- survfit(Surv(time + 1e-6 * (1 - event), 1 - event) ~ 1, data = of)  # events come first
  before <- stepfun(g$time, c(1, g$surv), right = TRUE); then <- stepfun(g$time, c(1, g$surv))
  list(died = ifelse(t$event == 1 & t$time <= h, 1 / before(t$time), 0),
       free = ifelse(t$time > h, 1 / then(h + 2e-6), 0))
}
"""


@pytest.mark.parametrize("name", TABLES)
def test_measures_at_a_horizon_are_those_of_r_with_its_weights(name, tmp_path):
    """Weights for censoring redistribute to 1 − Kaplan–Meier, at censorings in ties too.

    Observed / expected is 1 − Kaplan–Meier over the mean risk of all patients, censored ones
    included; with case weights, too, as bootstrap resamples have them.
    """
    make, columns = TABLES[name]
    table = make()
    x, y = table[columns].to_numpy(), outcome(table)
    times = np.quantile(y["time"][y["event"]], [0.3, 0.6, 0.8])
    model = CoxElasticNet(0.0, 0.0).fit(x, y)
    score, risk = model.predict(x).round(9), 1 - model.predict_survival(x, times)
    status = [status_at(y, y, time) for time in times]
    every = np.ones((3, len(y)))
    curve = smooth_curve(risk[None, :, 1], status[1][None], every)
    script = f"""{SURVIVAL}{WEIGHTS}
    risk <- as.matrix(t[, c("r0", "r1", "r2")])
    brier <- c(); area <- c()
    for (k in 1:3) {{
      w <- weights_at(t, t, at$time[k])
      brier <- c(brier, mean(w$died * (1 - risk[, k])^2 + w$free * risk[, k]^2))
      pairs <- outer(w$died, as.numeric(t$time > at$time[k]))
      higher <- outer(t$score, t$score, ">") + outer(t$score, t$score, "==") / 2
      area <- c(area, sum(pairs * higher) / sum(pairs))
    }}
    tell("brier", brier); tell("area", area)
    tell("integrated", sum(diff(at$time) * (brier[-1] + brier[-3]) / 2) / diff(range(at$time)))
    right <- rttright(Surv(time, event) ~ 1, data = t, times = at$time)
    tell("redistributed", colMeans(right * outer(t$time, at$time, "<=") * t$event))
    km <- summary(survfit(Surv(time, event) ~ 1, data = t), times = at$time)$surv
    w <- weights_at(t, t, at$time[2])
    known <- w$died + w$free
    tell("ratio", (1 - km[2]) / mean(risk[, 2]))
    drawn <- t[rep(seq_len(nrow(t)), t$count), ]
    again <- summary(survfit(Surv(time, event) ~ 1, data = drawn), times = at$time[2])$surv
    tell("twice", (1 - again) / mean(drawn$r1))
    o <- loess((w$died / pmax(known, 1e-9)) ~ r1, data = t, span = 0.75, degree = 1,
               weights = known, control = loess.control(surface = "direct"))
    tell("smooth", pmin(pmax(predict(o, data.frame(r1 = grid$risk)), 0), 1))
    gain <- function(p) mean((risk[, 2] >= p) * (w$died - w$free * p / (1 - p)))
    tell("gain", sapply((1:99) / 100, gain))
    all <- function(p) (1 - km[2]) - km[2] * p / (1 - p)
    tell("all", sapply((1:99) / 100, all))
    f <- coxph(Surv(time, event) ~ score, data = t,
               control = coxph.control(eps = 1e-12, iter.max = 50))
    tell("slope", coef(f))
    """
    twice = np.arange(len(y)) % 3.0
    risks = {f"r{k}": risk[:, k] for k in range(3)}
    tables = {
        "t": table.assign(score=0.7 * score, count=twice, **risks),
        "at": pd.DataFrame({"time": times}),
        "grid": pd.DataFrame({"risk": curve.risk}),
    }
    r = ask(tmp_path, script, **tables)
    errors = measures.squared_errors(y, y, 1 - risk, times)
    assert errors.mean(axis=0) == pytest.approx(r["brier"], **EXACT)
    assert measures.integrated(errors, times).mean() == pytest.approx(r["integrated"][0], **EXACT)
    areas = [concordance(measures.horizon_pairs(y, y, time), score) for time in times]
    assert areas == pytest.approx(r["area"], **EXACT)
    died = [each[:, 0].mean() for each in status]
    assert died == pytest.approx(r["redistributed"], **EXACT)
    for ratio, *given in ((r["ratio"], every), (r["twice"], twice[None])):
        found = observed_over_expected(y, risk[:, 1], *given, times[1])
        assert found == pytest.approx(np.full(len(given[0]), ratio[0]), **EXACT)
    assert curve.observed == pytest.approx(r["smooth"], **EXACT)
    for model_name, expected in (("radiomics", "gain"), ("all", "all")):
        drawn = decision_curve(model_name, risk[None, :, 1], status[1][None], every)
        assert drawn["net_benefit"].to_numpy() == pytest.approx(r[expected], **EXACT)
    slope = cox_slope(y, 0.7 * score, np.zeros(len(y)), every)[0]
    assert slope == pytest.approx(r["slope"][0], **EXACT)


QUICK = {"folds": 3, "inner_folds": 2, "repeats": 2, "canary": 0, "workers": 1}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Kind → folder of a study: breast cancer of 150 women, rossi's 432 men."""
    folder, found = tmp_path_factory.mktemp("reports"), {}
    y, risk = cancer()
    men = rossi()
    random = np.random.default_rng(5)
    studies = {
        "subtype": (
            pd.DataFrame({"a": risk, "b": random.normal(size=len(y))})[:150],
            pd.DataFrame({"class": np.where(y == 1, "malignant", "benign")})[:150],
            {"label": "class", "positive": "malignant"},
        ),
        "survival": (
            men[["age", "prio", "fin"]],
            men[["time", "event"]],
            {"time": "time", "event": "event", "horizons": [20, 40]},
        ),
    }
    for kind, (features, clinical, options) in studies.items():
        ids = [f"P{i:03d}" for i in range(len(features))]
        features = features.assign(volume_ml=random.normal(60, 9, len(ids)))
        paths = folder / f"{kind}_features.csv", folder / f"{kind}_clinical.csv"
        for table, path in zip((features, clinical), paths, strict=True):
            table.set_axis(ids).rename_axis("id").to_csv(path)
        found[kind] = folder / kind
        fit_model(*paths, found[kind], **options, **QUICK)
    return found


def written(folder):
    """Return predictions of radiomics with their repeat and fold as one stratum, and measures."""
    rows = pd.read_csv(folder / "predictions.csv", float_precision="round_trip")
    rows = rows[rows["model"] == "radiomics"].drop(columns="model")
    rows["stratum"] = rows["repeat"] * 10 + rows["fold"]
    table = pd.read_csv(folder / "performance.csv", float_precision="round_trip")
    return rows, table[table["model"] == "radiomics"].set_index("measure")["value"]


def test_the_files_of_a_class_give_r_the_numbers_of_the_report(reports, tmp_path):
    """The AUC counts pairs within a test fold: R's areas are weighted by their pairs."""
    rows, table = written(reports["subtype"])
    script = """
    suppressPackageStartupMessages(library(pROC))
    area <- 0; pairs <- 0
    for (part in split(t, t$stratum)) {
      count <- sum(part$outcome == 1) * sum(part$outcome == 0)
      curve <- roc(part$outcome, part$score, levels = c(0, 1), direction = "<", quiet = TRUE)
      area <- area + count * as.numeric(auc(curve)); pairs <- pairs + count
    }
    tell("AUC", area / pairs)
    tell("Brier", mean((t$outcome - t$score)^2))
    called <- t$score >= t$threshold
    tell("sensitivity", mean(called[t$outcome == 1]))
    tell("specificity", mean(!called[t$outcome == 0]))
    x <- qlogis(t$score)
    fit <- function(...) glm(..., family = binomial, control = glm.control(epsilon = 1e-14))
    tell("calibration slope", coef(fit(t$outcome ~ x))[2])
    tell("calibration-in-the-large", coef(fit(t$outcome ~ offset(x))))
    tell("observed / expected", sum(t$outcome) / sum(t$score))
    share <- mean(t$outcome)
    tell("net benefit", mean((t$score >= share) * ifelse(t$outcome == 1, 1, -share / (1 - share))))
    """
    found = ask(tmp_path, script, t=rows)
    for name, value in found.items():
        assert table[name] == pytest.approx(value[0], **EXACT), name
    report = (reports["subtype"] / "report.md").read_text()
    line = next(line for line in report.splitlines() if line.startswith("| radiomics |"))
    assert f"| {found['AUC'][0]:.3f} (" in line


def test_the_files_of_survival_give_r_the_numbers_of_the_report(reports, tmp_path):
    """Weights for censoring are of the training rows of each fold."""
    rows, table = written(reports["survival"])
    times = yaml.safe_load((reports["survival"] / "settings.yaml").read_text())["times"]
    grid = times["integrated_brier"]
    names = {f"event_free_at_{t:.10g}": f"g{k}" for k, t in enumerate(grid)}
    names |= {f"event_free_at_{t:.10g}": f"h{t:g}" for t in times["horizons"]}
    again = {f"g{k}": rows[f"event_free_at_{t:.10g}"] for k, t in enumerate(grid)}
    again |= {f"h{t:g}": rows[f"event_free_at_{t:.10g}"] for t in times["horizons"]}
    rows = rows[["time", "event", "score", "threshold", "repeat", "stratum"]].assign(**again)
    script = f"""{SURVIVAL}{WEIGHTS}
    within <- concordance(Surv(time, event) ~ score + strata(stratum), data = t, reverse = TRUE)
    tell("Harrell's C", within$concordance)
    exact <- coxph.control(eps = 1e-12, iter.max = 50)
    f <- coxph(Surv(time, event) ~ score + strata(stratum), data = t, control = exact)
    tell("calibration slope", coef(f))
    f <- coxph(Surv(time, event) ~ I(score > threshold) + strata(stratum), data = t,
               control = exact)
    tell("hazard ratio of high against low risk", exp(coef(f)))
    errors <- 0; area <- c(h20 = 0, h40 = 0); pairs <- area; uno <- 0; all <- 0
    for (part in split(t, t$stratum)) {{
      others <- t[t$`repeat` == part$`repeat`[1] & t$stratum != part$stratum[1], ]
      higher <- outer(part$score, part$score, ">") + outer(part$score, part$score, "==") / 2
      for (k in seq_along(grid$time)) {{
        w <- weights_at(part, others, grid$time[k]); free <- part[[paste0("g", k - 1)]]
        share <- c(0, diff(grid$time)) + c(diff(grid$time), 0)
        errors <- errors + share[k] / 2 * sum(w$died * free^2 + w$free * (1 - free)^2)
      }}
      for (h in c(20, 40)) {{
        name <- paste0("h", h); w <- weights_at(part, others, h)
        of <- outer(w$died, as.numeric(part$time > h))
        area[name] <- area[name] + sum(of * higher); pairs[name] <- pairs[name] + sum(of)
      }}
      last <- max(grid$time)
      w <- weights_at(part, others, last)$died^2 * (part$time < last)
      later <- outer(part$time, part$time, "<") |
        outer(part$time, part$time, "==") & outer(part$event, part$event, ">")
      uno <- uno + sum(w * later * higher); all <- all + sum(w * later)
    }}
    tell("integrated Brier", errors / nrow(t) / diff(range(grid$time)))
    tell("Uno's C", uno / all)
    for (h in c(20, 40)) {{
      name <- paste0("h", h)
      tell(paste("AUC at", h), area[name] / pairs[name])
      km <- summary(survfit(Surv(time, event) ~ 1, data = t), times = h)$surv
      tell(paste("observed / expected at", h), (1 - km) / mean(1 - t[[name]]))
    }}
    """
    found = ask(tmp_path, script, t=rows, grid=pd.DataFrame({"time": grid}))
    for name, value in found.items():
        assert table[name] == pytest.approx(value[0], **EXACT), name
    report = (reports["survival"] / "report.md").read_text()
    line = next(line for line in report.splitlines() if line.startswith("| radiomics |"))
    concordant = found["Harrell's C"][0]
    assert f"| {concordant:.3f} (" in line


def test_the_saved_volume_model_is_the_one_that_r_fits(reports, tmp_path):
    """Coefficient and baseline survival, at the mean of the volume (Efron's handling of ties)."""
    folder = reports["survival"]
    features = pd.read_csv(folder.parent / "survival_features.csv")
    clinical = pd.read_csv(folder.parent / "survival_clinical.csv")
    terms = pd.read_csv(folder / "coefficients.csv").query("model == 'volume only'").iloc[0]
    values = features["volume_ml"].clip(terms["lowest"], terms["highest"])
    table = clinical.assign(z=(values - terms["mean"]) / terms["sd"])
    script = f"""{SURVIVAL}
    f <- coxph(Surv(time, event) ~ ridge(z, theta = 0.1, scale = FALSE), data = t,
               control = coxph.control(eps = 1e-12, iter.max = 50))
    tell("coefficient", coef(f))
    g <- coxph(Surv(time, event) ~ offset(z * coef(f)), data = t)
    h <- basehaz(g, centered = FALSE)
    tell("free", exp(-h$hazard[h$time %in% t$time[t$event == 1]]))
    """
    r = ask(tmp_path, script, t=table)
    assert terms["coefficient"] == pytest.approx(r["coefficient"][0], **EXACT)
    curve = pd.read_csv(folder / "baseline_survival.csv").query("model == 'volume only'")
    assert curve["event_free"].to_numpy() == pytest.approx(r["free"], **EXACT)
