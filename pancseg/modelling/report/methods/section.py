"""A methods section to paste into a paper: what was done, with every definition and version."""

from __future__ import annotations

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.methods.measures import measures_text
from pancseg.modelling.report.methods.models import models_text
from pancseg.modelling.report.methods.uncertainty import uncertainty_text
from pancseg.modelling.report.methods.validation import validation_text
from pancseg.modelling.report.parts import Section
from pancseg.modelling.words import listed
from pancseg.tables.html_page import escape_markdown


def methods_section(
    results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint, made_by: str
) -> Section:
    """Return the section with the paragraphs.

    Args:
        results: the analysis.
        joined: the rows analysed.
        endpoint: their outcomes.
        made_by: the versions used.
    """
    lines = [
        "To paste into a paper. What stands in square brackets is yours to fill in.",
        _data(joined, endpoint),
        models_text(results, joined),
        validation_text(results, joined),
        measures_text(results),
        uncertainty_text(results, joined, made_by),
    ]
    return Section("Methods, ready to paste", lines)


def _data(joined: JoinedTable, endpoint: Endpoint) -> str:
    if endpoint.kind == "survival":
        time, event = map(escape_markdown, endpoint.columns)
        outcome = f"the time to [event] (columns {time} and {event}), censored at [last contact]"
    else:
        rest, positive = map(escape_markdown, endpoint.classes)
        outcome = f"{positive} against {rest}"
    clinical = list(map(escape_markdown, joined.origin.levels))
    were = "variable was" if len(clinical) == 1 else "variables were"
    beside = f" The clinical {were} {listed(clinical)}." if clinical else ""
    return (
        f"From [hospital, years], {joined.size()} with {joined.features.shape[1]} radiomics "
        f"features were analysed. The outcome was {outcome}.{beside}"
    )
