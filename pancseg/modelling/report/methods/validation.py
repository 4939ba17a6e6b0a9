"""The methods paragraph on cross-validation and the correction for optimism."""

from __future__ import annotations

import numpy as np

from pancseg.modelling.analysis.measure_names import brier_measure, main_measure
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.optimism import FEWEST_SAMPLES, trusted
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.words import counted, listed, the
from pancseg.tables.html_page import escape_markdown


def validation_text(results: AnalysisResults, joined: JoinedTable) -> str:
    """Return the folds, the correction for optimism and the canaries."""
    settings = results.settings
    scanner = " and the scanner or site" if joined.batch is not None else ""
    together = f"one value of {group_name(joined)}" if has_groups(joined) else "a patient"
    return (
        f"Performance was estimated by nested cross-validation with {settings.outer} outer and "
        f"{settings.inner} inner folds, stratified by the outcome{scanner}, in "
        f"{counted(settings.repeats, 'repeat')} (random seed {settings.seed}); all rows of "
        f"{together} were in the same fold. The final model was fitted in the same way to all "
        "patients."
        + _correction(results)
        + (
            f" To detect leaks the model radiomics was run {settings.canary} times each on "
            "permuted outcomes and on noise, in one repeat."
            if settings.canary
            else ""
        )
    )


def has_groups(joined: JoinedTable) -> bool:
    """Return whether a named column keeps the rows of several patients together."""
    return len(np.unique(joined.groups)) != joined.count()


def group_name(joined: JoinedTable) -> str:
    """Return the name of the column whose equal values stay together."""
    return escape_markdown(joined.origin.group or "the group")


def _correction(results: AnalysisResults) -> str:
    """Return how performance was corrected for optimism."""
    known = results.corrected.get(RADIOMICS)
    if known is None:
        return ""
    main, brier = main_measure(results.settings.kind), brier_measure(results.settings.kind)
    survival = results.settings.kind == "survival"
    who = "with and from those without the event" if survival else "of each class"
    who += " and of each scanner" if results.plan.strata.max() > 1 else ""
    scored = brier in known
    random = f", the {brier} score that of predictions given to random patients" if scored else ""
    measures = listed([the(main), *[f"the {brier} score"] * scored])
    measures = measures[0].upper() + measures[1:]
    if not known[main].samples:
        return (
            f" {measures} could not be judged in patients left out of bootstrap samples: of those "
            f"drawn with replacement from the patients {who}, there was none to which the models "
            "could be fitted and whose left-out patients could be judged."
        )
    given = trusted(known)
    what = (
        "corrected for optimism by the .632+ bootstrap (Efron and Tibshirani 1997)"
        if given
        else "judged in patients left out of bootstrap samples"
    )
    formula = (
        f" Without information, {the(main)} is 0.5{random}; a mean over the samples that is worse "
        "than that counts as that."
    )
    if given:
        last = f"{formula} No such estimate is given"
    else:
        weighed = " Those of other models were weighed by the .632+ bootstrap (Efron and Tibshirani"
        others = any(map(trusted, results.corrected.values()))
        last = f"{weighed} 1997).{formula}" if others else ""
        last += " No .632+ estimate of radiomics is given, as none is given"
    return (
        f" {measures} were also {what}: in each of {counted(known[main].samples, 'sample')} of "
        f"patients, drawn with replacement from those {who}, every step was repeated, tuning "
        f"included, and the patients who were not drawn were judged, for {the(main)} by all of "
        f"their pairs; values were averaged over the samples.{last} "
        f"from fewer than {FEWEST_SAMPLES} samples or of models that ordered their own patients "
        "almost without error, but not those left out."
    )
