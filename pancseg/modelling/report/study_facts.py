"""What an analysis did and did not do, for the checklists: an item is done only if it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pancseg.modelling.analysis.results import AnalysisResults, is_tested
from pancseg.modelling.estimators.chained import FEWEST_KNOWN
from pancseg.modelling.inputs.gaps import imputed_columns, missing_values
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.optimism import trusted
from pancseg.modelling.report.parts import Section, markdown
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import CLINICAL, RADIOMICS, VOLUME
from pancseg.modelling.words import counted, listed
from pancseg.tables.html_page import escape_message

State = Literal[
    "done by the software", "done in part", "for the user to fill", "not done", "not applicable"
]
DONE: State = "done by the software"
PART: State = "done in part"
USER: State = "for the user to fill"
NOT_DONE: State = "not done"
NOT: State = "not applicable"
_MEDIAN = "the median of the training rows (in a 0/1 column by the mean)"
_TEXTS = "a text by the shares of the levels, unless a missing text is a level of its own"


def filled_by(imputations: int) -> str:
    """Return what replaces missing values when a model is applied.

    Args:
        imputations: number of completed tables that the model was fitted to; 1: of none.
    """
    if imputations == 1:
        return f"a number by {_MEDIAN}, {_TEXTS}"
    return (
        "a number by its expected value given the patient's other values (equations fitted to the "
        "training rows; where no other column helps, the mean), or, if no training row lacked it, "
        f"fewer than {FEWEST_KNOWN} had it or all were alike, by {_MEDIAN}, {_TEXTS}"
    )


Settled = dict[str, tuple[State, str]]
"""Number of an item → its state, and where or why."""
PRE_FILLED: tuple[State, str] = (PART, "CLEAR.md, METRICS.md and TRIPOD.md, pre-filled")
"""Which guidelines were followed."""


class ChecklistItem(NamedTuple):
    """One line of a checklist: section, number and short name, state, and where or why."""

    section: str
    item: str
    state: State
    note: str


@dataclass(frozen=True)
class StudyFacts:
    """What was done.

    Attributes:
        survival: whether the outcome is the time to an event.
        shown: whether the report shows performance.
        compared: whether it compares radiomics with volume or clinical variables.
        tested: whether differences have a likelihood-ratio test.
        clinical: names of the clinical variables.
        volume: whether there is a volume column.
        features: number of candidate features.
        missing: missing values of features, volume and clinical variables, texts among them.
        incomplete: number of columns that have one.
        linear: whether the declared model has a formula.
        candidates: number of candidates of the declared model.
        stability: whether the features' stability was given (``stability``).
        batch: whether scanner or site effects were removed (``batch``).
        subgroups: whether subgroups are reported.
        sites: whether each site was left out in turn (``leave_out``).
        folds: the cross-validation, as text.
        samples: number of bootstrap samples of radiomics; 0 where performance is not shown.
        corrected: whether a .632+ estimate is given of them.
        inner: number of inner folds.
        resamples: number of resamples of the bootstrap.
        repeats: number of repeats.
        model: the declared algorithm.
        seed: random seed.
        imputations: number of tables in which missing values were imputed; 1: none were.
    """

    survival: bool
    shown: bool
    compared: bool
    tested: bool
    clinical: tuple[str, ...]
    volume: bool
    features: int
    missing: int
    incomplete: int
    linear: bool
    candidates: int
    stability: bool
    batch: bool
    subgroups: bool
    sites: bool
    folds: str
    samples: int
    inner: int
    resamples: int
    repeats: int
    model: str
    seed: int
    imputations: int = 1
    corrected: bool = True

    @property
    def beside(self) -> tuple[str, ...]:
        """What radiomics can be compared with, in words."""
        there = (("volume", self.volume), ("clinical variables", bool(self.clinical)))
        return tuple(name for name, given in there if given)

    @property
    def where(self) -> str:
        """Where performance is, or why it is not shown."""
        return "report.md" if self.shown else "withheld: the canary found a leak"

    @property
    def gaps(self) -> str:
        """A sentence on missing values."""
        if not self.missing:
            return "no value of a feature or clinical variable is missing"
        drawn = (
            f"numbers in training rows imputed {self.imputations} times by chained equations; in "
            "other rows replaced: "
            if self.imputations > 1
            else "replaced: "
        )
        return (
            f"{counted(self.missing, 'value')} in {counted(self.incomplete, 'column')} missing; "
            f"{drawn}{filled_by(self.imputations)}; missing_values.csv"
        )

    @property
    def internal(self) -> str:
        """How the model was validated in its own cohort, as text."""
        if not self.samples:
            return self.folds
        if self.corrected:
            return f"{self.folds}, {counted(self.samples, 'sample')} of the .632+ bootstrap"
        samples = counted(self.samples, "bootstrap sample")
        return f"{self.folds}, patients left out of {samples} (no .632+ estimate)"

    @property
    def confounders(self) -> tuple[State, str]:
        """Whether and how confounders were handled."""
        parts = ["scanner or site effects removed by ComBat (`batch`)"] if self.batch else []
        if self.compared and self.beside:
            parts.append(f"{listed(self.beside)} compared with radiomics: report.md")
        if parts:
            parts.append("which confounders there are is yours to say")
            return PART, "; ".join(parts)
        if self.beside:
            return NOT_DONE, self.where
        return NOT_DONE, "nothing was given (`clinical`, `volume`, `batch`)"

    @property
    def outcome(self) -> tuple[State, str]:
        """Whether and where the outcome is defined."""
        where = (
            "columns and horizons: settings.yaml; coding: report.md, Follow-up"
            if self.survival
            else "column: settings.yaml; classes: report.md"
        )
        return PART, f"{where}; how it was assessed is yours"

    @property
    def reasons(self) -> tuple[State, str]:
        """Whether and where measures of performance are named, and why these."""
        if not self.shown:
            return NOT_DONE, self.where
        return PART, "measures and definitions: report.md, Methods; the reasons are yours"

    @property
    def not_compared(self) -> str:
        """Why radiomics is compared with nothing."""
        if not self.shown:
            return self.where
        return "nothing to compare with: no volume column, no clinical variables (`clinical`)"


def facts_of(results: AnalysisResults, joined: JoinedTable) -> StudyFacts:
    """Return what an analysis did."""
    settings = results.settings
    gaps = missing_values(joined, []).drop_duplicates("column")["missing"]
    spec = results.plan.specs[0]
    corrected = results.corrected.get(RADIOMICS, {})
    return StudyFacts(
        survival=settings.kind == "survival",
        shown=not results.leaks,
        compared=any(VOLUME in pair or CLINICAL in pair for pair in results.comparisons),
        tested=is_tested(results),
        clinical=tuple(joined.origin.levels),
        volume=joined.volume.shape[1] > 0,
        features=joined.features.shape[1],
        missing=int(gaps.sum()),
        incomplete=len(gaps),
        linear=settings.model == "elastic-net",
        candidates=len(spec.candidates),
        stability=settings.stability_sha256 is not None,
        batch=joined.batch is not None,
        subgroups=bool(settings.subgroups),
        sites=bool(results.sites),
        folds=_folds(settings),
        samples=max((one.samples for one in corrected.values()), default=0),
        inner=settings.inner,
        resamples=settings.resamples,
        repeats=settings.repeats,
        model=settings.model,
        seed=settings.seed,
        imputations=imputations_of(settings, joined),
        corrected=bool(corrected) and trusted(corrected),
    )


def imputations_of(settings: ModelSettings, joined: JoinedTable) -> int:
    """Return the number of tables in which values were imputed; 1 where there were none to."""
    return settings.imputations if imputed_columns(joined) else 1


def _folds(settings: ModelSettings) -> str:
    folds = f"nested cross-validation, {settings.outer} outer and {settings.inner} inner folds"
    return folds if settings.repeats == 1 else f"{folds}, {settings.repeats} repeats"


def filled(items: dict[str, dict[str, str]], known: Settled) -> list[ChecklistItem]:
    """Return a checklist, filled in as far as an analysis can.

    Args:
        items: section → number → short name.
        known: the state of some items; the others are the user's.
    """
    return [
        ChecklistItem(section, f"{number}. {name}", *known.get(number, (USER, "")))
        for section, names in items.items()
        for number, name in names.items()
    ]


def checklist_text(
    title: str, lines: Sequence[str], items: Sequence[ChecklistItem], noun: str = "items"
) -> str:
    """Return a checklist as Markdown; ``noun`` is what its lines are called."""
    counts = ", ".join(
        f"{sum(item.state == state for item in items)} {state}"
        for state in (DONE, PART, USER, NOT_DONE, NOT)
        if any(item.state == state for item in items)
    )
    part = Section(
        "By item",
        [*lines, f"{len(items)} {noun}: {counts}."],
        ["section", "item", "state", "where, or why"],
        [[escape_message(text) for text in item] for item in items],
    )
    return markdown(title, [part])
