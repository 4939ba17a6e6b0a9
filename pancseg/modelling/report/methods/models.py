"""The methods paragraph on the models: preparation, candidates, and what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sklearn.pipeline import Pipeline

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.estimators.chained import FEWEST_KNOWN, MOST_PREDICTORS, ROUNDS
from pancseg.modelling.estimators.fences import FAR_OUT
from pancseg.modelling.estimators.mean_matching import DONORS
from pancseg.modelling.estimators.preparation import FEWEST_DIFFERENT, MOST_MISSING
from pancseg.modelling.estimators.redundancy import REDUNDANT_RHO
from pancseg.modelling.inputs.clinical import FEWEST_NOT_KNOWN
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.study_facts import imputations_of
from pancseg.modelling.study import BOTH, CLINICAL, SINGLE, VOLUME
from pancseg.modelling.subtype import TREE_COLUMNS
from pancseg.modelling.words import listed
from pancseg.system.text.number_text import percent

_ALGORITHMS = {
    ("elastic-net", "subtype"): "penalised logistic regression",
    ("elastic-net", "survival"): "penalised Cox regression (Efron's handling of ties)",
    ("random-forest", "subtype"): "a random forest of 200 trees",
    ("random-forest", "survival"): "a random forest of martingale residuals, calibrated by Cox "
    "regression",
    ("gradient-boosting", "subtype"): "gradient-boosted trees of depth 2",
}
_TREES = (
    f"It saw at most {TREE_COLUMNS} features, those most strongly associated with the outcome, "
    "each alone"
)


def models_text(results: AnalysisResults, joined: JoinedTable) -> str:
    """Return how the models were made and compared: each step with its limits."""
    settings = results.settings
    spec = results.plan.specs[0]
    combat = (
        " Effects of the scanner or site were removed by ComBat, estimated on the training rows."
        if joined.batch is not None
        else ""
    )
    stable = (
        "the one with the highest ICC"
        if settings.stability_sha256 is not None
        else "the one most correlated with its cluster"
    )
    criterion = "the Cox partial likelihood" if settings.kind == "survival" else "the log loss"
    chosen = (
        f"; the settings were chosen among {len(spec.candidates)} candidates by {criterion} in the "
        "inner folds"
        if len(spec.candidates) > 1
        else ""
    )
    algorithm = _ALGORITHMS.get((settings.model, settings.kind), settings.model)
    form = _linear(results) if settings.model == "elastic-net" else _TREES
    return (
        f"The model, set before this run, was {algorithm}. Features that more than "
        f"{percent(MOST_MISSING)} of the patients lack were left out beforehand, whatever the "
        f"outcome. Features in which fewer than {percent(FEWEST_DIFFERENT)} of values differ from "
        f"the most frequent one were dropped. Values far out were moved to {FAR_OUT:g} "
        "interquartile ranges beyond the quartiles, at most one in twenty on each side. "
        f"{_gaps(results, joined)}{combat} Of features with Spearman's |rho| above "
        f"{REDUNDANT_RHO} (average linkage) {stable} was kept, and features were scaled to "
        f"z-scores. {form}{chosen}. All of these steps were fitted on training rows only. "
        f"{_compared(results)}"
    )


def _gaps(results: AnalysisResults, joined: JoinedTable) -> str:
    """Return how missing values were filled."""
    count = imputations_of(results.settings, joined)
    texts = (
        f" Texts that {FEWEST_NOT_KNOWN} patients or more lack had a level `missing`; missing ones "
        "of others were replaced by the shares of the levels."
        if any(joined.origin.levels.values())
        else ""
    )
    if count == 1:
        return f"Missing values were replaced by the median (0/1 columns: the mean).{texts}"
    combat, batch = (
        ("ComBat, ", ", for features also from the scanner or site")
        if joined.batch is not None
        else ("", "")
    )
    outcome = (
        "the event and the cumulative hazard"
        if results.settings.kind == "survival"
        else "the class"
    )
    averaged = (
        "their log odds"
        if results.settings.model == "gradient-boosting"
        else "their trees"
        if results.settings.model == "random-forest"
        else "their coefficients"
        + (" and log cumulative hazards" if results.settings.kind == "survival" else "")
    )
    return (
        f"Missing numbers were imputed in {count} tables by chained equations ({ROUNDS} rounds, "
        f"predictive mean matching among {DONORS} donors; van Buuren 2018), assumed to be missing "
        "at random, each from columns of the same kind (features, volume or clinical variables): "
        f"at most {MOST_PREDICTORS}, those with the highest correlation times share of usable "
        f"cases, if above that of noise; and from the outcome ({outcome}){batch}. "
        f"The models fitted to the {count} tables were averaged ({averaged}), with features "
        "selected once, by the mean of their association. Rows that were predicted, whose outcome "
        "is unknown to the model, "
        "were completed by the expected values of such equations without the outcome (the mean "
        "where no other column helps), and by the median (0/1 columns: the mean) where no training "
        f"row lacked the value, fewer than {FEWEST_KNOWN} had it or all were alike; to training "
        f"rows completed in this way {combat}redundancy and scaling were fitted.{texts}"
    )


def _linear(results: AnalysisResults) -> str:
    """Return what the candidates of the linear model are, with the meaning of their settings."""
    survival = results.settings.kind == "survival"
    found = results.plan.specs[0].candidates
    nets: dict[str, list[float]] = {}
    """Number of features, or all → penalties."""
    for candidate in found:
        selects = isinstance(candidate, Pipeline)
        last = candidate[-1] if selects else candidate
        if hasattr(last, "fraction"):
            size = str(candidate.named_steps["select"].k) if selects else "all"
            nets.setdefault(size, []).append(last.fraction)
    spreads = sorted({c.spread for c in found if hasattr(c, "spread")})
    alone = "score test of a Cox model" if survival else "AUC"
    sizes = listed([size for size in nets if size != "all"], "or")
    which = ["all features"] * ("all" in nets)
    if sizes:
        which.append(
            f"the {sizes} features that were most strongly associated with the outcome, each alone "
            f"({alone}),"
        )
    predictor = "log hazard" if survival else "log odds"
    return (
        f"Candidates were elastic nets (l1 ratio 0.5) of {listed(which, 'or')} with a penalty of "
        f"{_penalties(nets)} times the smallest that leaves no feature, and ridge regressions of "
        f"all features, with a normal prior of the coefficients by which the {predictor} "
        f"has a variance of {listed([f'{s:g}' for s in spreads], 'or')} between patients"
    )


def _penalties(nets: Mapping[str, Sequence[float]]) -> str:
    """Return the penalties as text, with the numbers of features of those that not all have."""
    parts = []
    for penalty in sorted({each for found in nets.values() for each in found}, reverse=True):
        those = [size for size, found in nets.items() if penalty in found]
        only = "" if len(those) == len(nets) else f" (of {listed(those)} features only)"
        parts.append(f"{penalty:g}{only}")
    return listed(parts, "or")


def _compared(results: AnalysisResults) -> str:
    """Return what the declared model was compared with, and how."""
    names = {spec.name for spec in results.plan.specs}
    others = {
        VOLUME: "volume alone",
        CLINICAL: "the clinical variables alone",
        SINGLE: "the best single feature, chosen in each fold",
    }
    compared = [text for name, text in others.items() if name in names]
    how = (
        "all were fitted in the same folds and are linear, but only the model of radiomics was "
        "penalised and tuned"
        if results.settings.model == "elastic-net"
        else "both sides of a comparison were fitted by this algorithm in the same folds"
    )
    text = (
        f"It was compared with {listed(compared)}: {how}. Other algorithms are shown beside it, "
        "and the best of them is not chosen."
    )
    if BOTH in names:
        score = "log hazard" if results.settings.kind == "survival" else "log odds"
        linear = results.settings.model == "elastic-net"
        kept = "have no penalty and are never left out" if linear else "are not selected from"
        bound = "its coefficient cannot be negative" if linear else "no risk falls as it rises"
        text += (
            f" Clinical variables {kept}. In clinical + radiomics "
            f"they stand beside one more column, the score of the radiomics model ({score}), taken "
            f"out of inner folds where the model is trained; {bound}."
        )
    return text
