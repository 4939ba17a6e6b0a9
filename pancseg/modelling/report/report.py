"""The report of a study: its sections in order, and the leakage canary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.calibration_section import calibration_section
from pancseg.modelling.report.features_section import choices_section, features_section
from pancseg.modelling.report.figures import shown
from pancseg.modelling.report.methods.section import methods_section
from pancseg.modelling.report.parts import Section, number
from pancseg.modelling.report.performance_section import (
    beside_section,
    differences_section,
    performance_section,
)
from pancseg.modelling.report.stability import stability_section
from pancseg.modelling.report.survival_sections import competing_sections, risk_groups_section
from pancseg.modelling.report.verdict_section import verdict_section
from pancseg.modelling.study import BOTH
from pancseg.modelling.words import the
from pancseg.system.version import __version__
from pancseg.tables.html_page import escape_message

CANNOT_KNOW = (
    "Whether the features, their settings or the patients were chosen with knowledge of these "
    "outcomes. A table whose features were selected on the same patients gives a high AUC that no "
    "check of the pipeline can distinguish from a true one.",
    "Whether the model works elsewhere, with other scanners or in other hospitals (`pancseg "
    "predict` with their outcomes tests it).",
    "Whether an analysis was repeated until it gave the desired result: settings.yaml describes "
    "only this one.",
)


def sections(
    results: AnalysisResults,
    joined: JoinedTable,
    outcome: Endpoint,
    warned: Sequence[str],
    more: Mapping[str, Sequence[Section]] | None = None,
) -> list[Section]:
    """Return the sections of the report; without performance when a canary sang.

    Args:
        results: the analysis.
        joined: the rows analysed.
        outcome: their outcomes.
        warned: what the data are hardly sufficient for.
        more: sections made elsewhere, by their place: ``cohort``, ``missing``, ``subgroups``,
            ``sites``, ``formula``.
    """
    more = more or {}
    found = [verdict_section(results, joined, outcome, warned)]
    found += more.get("cohort", ())
    notes = list(map(escape_message, joined.notes))  # these quote names from the tables
    found.append(Section("Data", notes or ["Nothing to note."]))
    found += more.get("missing", ())
    if results.leaks:
        found.append(Section("Warnings", list(map(escape_message, warned)) or ["None."]))
    found.append(_canary(results))
    if not results.leaks:
        found.append(performance_section(results))
        if results.differences:
            found.append(differences_section(results))
        if BOTH in results.final:
            found.append(beside_section(results))
        found.append(calibration_section(results))
        found.append(Section("Figures", pictures=shown(results)))
        found += [stability_section(results), *more.get("subgroups", ())]
        found += more.get("sites", ())
        if results.settings.kind == "survival":
            found.append(risk_groups_section(results, joined))
        if outcome.cause is not None:
            found += competing_sections(results, joined, outcome)
    found += [*more.get("formula", ()), features_section(results), choices_section(results)]
    found.append(methods_section(results, joined, outcome, made_by()))
    found.append(Section("What it cannot know", CANNOT_KNOW))
    found.append(Section("Made by", [made_by()]))
    return found


def made_by() -> str:
    """Return the versions used, as text."""
    names = ("scikit-learn", "scipy", "numpy", "pandas")
    return f"pancseg {__version__}, " + ", ".join(f"{n} {version(n)}" for n in names)


def _canary(results: AnalysisResults) -> Section:
    if not results.canaries:
        return Section("Leakage canary", ["Not run (`canary` is 0): a leak would go unnoticed."])
    rows = [
        [
            *(c.what, str(len(c.values)), number(c.mean), number(c.low), number(c.detectable)),
            "leak" if c.sings else "too few runs to tell" if c.powerless else "no leak found",
        ]
        for c in results.canaries
    ]
    main = main_measure(results.settings.kind)
    lines = [
        "The model radiomics on data without a signal, one repeat; it leaks when the lower limit "
        f"of the mean {main} is above 0.5. Four of five such canaries would find a leak that "
        f"lifts {the(main)} "
        "to the value in the column `would find`; smaller ones can stay unnoticed."
    ]
    if any(c.powerless and not c.sings for c in results.canaries):
        lines.append(
            "**Powerless**: so few runs find gross leaks only. Take 8 or more of each (`canary`) "
            "before you call the model sound."
        )
    header = ["data", "runs", f"mean {main}", "lower limit", "would find", "finding"]
    caption = f"Mean {main} of the model radiomics on data without a signal."
    return Section("Leakage canary", lines, header, rows, caption=caption)
