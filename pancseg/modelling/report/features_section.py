"""The sections of the report on what the models are made of: features used, settings chosen."""

from __future__ import annotations

from pancseg.modelling.analysis.degenerate_models import empty_models
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.cross_validation.importance import SHUFFLES
from pancseg.modelling.estimators.described import described
from pancseg.modelling.report.figures import feature_table, weights_are_permuted
from pancseg.modelling.report.parts import Picture, Section, number
from pancseg.modelling.study import RADIOMICS
from pancseg.system.text.number_text import percent
from pancseg.tables.html_page import escape_markdown

_SHOWN_FEATURES = 20
PERMUTED = (
    "The model has no coefficients. Used: selected in the fold. Weight: permutation importance, "
    "the rise of the log loss on the held-out patients when the feature is shuffled among them "
    f"(mean of {SHUFFLES} shuffles); features that carry the same information each look "
    "unimportant. Empty where the pipeline leaks."
)
FEATURES = (
    "The features used most often by the outer models of radiomics: the share of models that use "
    "each, and the mean and standard deviation of its weight over all of them (0 where unused)."
)


def features_section(results: AnalysisResults) -> Section:
    """Return the features used most often by the outer models of radiomics."""
    table = feature_table(results).head(_SHOWN_FEATURES)
    rows = [
        [escape_markdown(str(name)), percent(share), number(mean), number(std)]
        for name, share, mean, std in table.to_numpy()
    ]
    header = ["feature", "used in", "mean weight", "std"]
    empty, models = empty_models(results.validation, RADIOMICS)
    lines = ["Over all outer models." + _weights_are(results)]
    if empty:
        lines.append(f"No feature was used in {empty} of {models} models.")
    if weights_are_permuted(results):
        lines.append(PERMUTED)
    return Section(
        "Features of the model",
        lines,
        header,
        rows,
        [Picture("features.png", FEATURES)],
        caption=_shown_features(len(feature_table(results))),
    )


def _weights_are(results: AnalysisResults) -> str:
    """Return what the weights of linear models and of forests are."""
    if weights_are_permuted(results):
        return ""
    if results.settings.model != "elastic-net":
        return " The weight is the forest's impurity importance."
    ratio = "log odds ratio" if results.settings.kind == "subtype" else "log hazard ratio"
    return f" The weight is the {ratio} per standard deviation, shrunken by the penalty."


def _shown_features(count: int) -> str:
    if count > _SHOWN_FEATURES:
        return f"The {_SHOWN_FEATURES} features used most often; all of them: features_used.csv."
    return "The one feature used." if count == 1 else f"All {count} features used."


def choices_section(results: AnalysisResults) -> Section:
    """Return how often the inner folds chose each candidate."""
    rows, specs = [], {spec.name: spec for spec in results.plan.specs}
    for name, spec in specs.items():
        choices = results.validation.models[name].choices
        for index, candidate in enumerate(spec.candidates):
            if len(spec.candidates) > 1 and index in choices:
                rows.append([name, described(candidate), f"{choices.count(index)}/{len(choices)}"])
    if not rows:
        return Section("Settings chosen in the inner folds", ["There was nothing to choose."])
    caption = "Candidates by the number of outer models in which the inner folds chose them."
    title, header = "Settings chosen in the inner folds", ["model", "setting", "models"]
    return Section(title, (), header, rows, caption=caption)
