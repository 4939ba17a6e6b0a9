"""Fit and validate models from a table of features and a table of outcomes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.modelling.analysis.analyse import analyse
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.analysis.workload import steps_of
from pancseg.modelling.checked_tables import CheckedTables, cells_of, check_tables
from pancseg.modelling.cohort import Cohort, cohort_of
from pancseg.modelling.competing_events import cause_specific
from pancseg.modelling.cross_validation.folds import outer_parts
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.data_warnings import warnings_of
from pancseg.modelling.doubts import doubts_of, id_warnings
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.inputs.gaps import (
    imputed_columns,
    missing_notes,
    missing_values,
    without_gaps,
)
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.outliers import outlier_warnings, outliers
from pancseg.modelling.internal_external import leave_sites_out, refuse_sites
from pancseg.modelling.outputs.study_tables import DataRemarks, StudyTables
from pancseg.modelling.outputs.write import write_analysis
from pancseg.modelling.report.subgroups import Subgroup, subgroups_of
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import make_study
from pancseg.modelling.unnamed import unnamed_columns
from pancseg.system.output_folder import claim
from pancseg.system.threads import available_cores
from pancseg.system.yaml_file import settings_of

_DEFAULTS = ModelSettings(kind="subtype")
_REPORT = 4.0
"""Work of measuring, drawing and writing, in outer folds of all models (:func:`.steps_of`)."""


@dataclass(frozen=True)
class PreparedStudy:
    """A cohort that was read and checked, and the plan of its validation.

    Attributes:
        joined: features, clinical variables and outcomes of the patients found in both tables.
        endpoint: what is predicted.
        settings: the choices made beforehand.
        options: how the tables were read.
        plan: folds, blocks of features and models.
        warnings: what the data are hardly sufficient for, a line each.
        limits: those of them that can be told without a patient's id, for the model card.
        against: sentences on what speaks against any result; they follow the verdict.
        doubts: what speaks against any result, for the verdict.
        remarks: what the verdict is to be read with.
        missing: columns with missing values, and those that some folds cannot use.
        outliers: single values far outside their column.
        cohort: who was analysed, and who was left out.
        subgroups: of the rows, to be reported.
        sites: (n,) site of each row, to be left out in turn; None: no such validation.
    """

    joined: JoinedTable
    endpoint: Endpoint
    settings: ModelSettings
    options: TableOptions
    plan: ValidationPlan
    warnings: list[str]
    limits: list[str]
    against: tuple[str, ...]
    doubts: list[str]
    remarks: list[str]
    missing: pd.DataFrame
    outliers: pd.DataFrame
    cohort: Cohort
    subgroups: list[Subgroup] = field(default_factory=list)
    sites: np.ndarray | None = None

    @property
    def steps(self) -> list[float]:
        """The work of each step that :meth:`analyse` tells of, then :meth:`write`, in any unit."""
        sites = 0 if self.sites is None else len(np.unique(self.sites))
        return [*steps_of(self.settings), *[1.0] * sites, self._report_work]

    @property
    def steps_after_a_leak(self) -> list[float]:
        """As :attr:`steps`, where a canary found a leak, so that nothing is measured."""
        return [*steps_of(self.settings, leaks=True), self._report_work]

    @property
    def _report_work(self) -> float:
        """The report takes as long as before, and folds that impute many times longer."""
        return _REPORT / (self.settings.imputations if imputed_columns(self.joined) else 1)

    def analyse(
        self,
        workers: int | None = None,
        report: Callable[[str], None] = lambda line: None,
        leaked: Callable[[], None] = lambda: None,
    ) -> AnalysisResults:
        """Validate and fit all models.

        Args:
            workers: number of processes; None: of cores.
            report: called with a line after each step.
            leaked: called where a canary found a leak: :attr:`steps_after_a_leak` are the steps.
        """
        cores = workers or available_cores()
        found = analyse(self.plan, self.settings, cores, report, self.against, leaked)
        if found.leaks:
            return found
        verdict = (*self.doubts, *found.verdict, *self.remarks)
        found = replace(found, verdict=verdict, doubts=tuple(self.doubts))
        if self.sites is None:
            return found
        sites = leave_sites_out(self.plan, self.sites, self.settings.resamples, report)
        return replace(found, sites=tuple(sites))

    def write(self, out: Path, results: AnalysisResults) -> None:
        """Write report, predictions, model, settings and checklist.

        Raises:
            OSError: the folder cannot be written.
        """
        about = StudyTables(
            self.joined,
            self.endpoint,
            self.options,
            DataRemarks(self.warnings, self.limits, self.missing, self.outliers),
            self.cohort,
            self.subgroups,
        )
        write_analysis(out, results, about)


def plan_study(tables: CheckedTables) -> PreparedStudy:
    """Plan the validation, and say what speaks against its result.

    Args:
        tables: what :func:`.checked_tables.check_tables` returned.

    Raises:
        ValueError: too few patients for the folds, no such model, or sites that cannot be left out.

    Example:
        >>> from pathlib import Path
        >>> from pancseg.modelling.checked_tables import check_tables
        >>> from pancseg.modelling.fit import plan_study
        >>> from pancseg.modelling.inputs.features_table import TableOptions
        >>> from pancseg.modelling.settings import ModelSettings
        >>> settings = ModelSettings(kind="survival", outer=3, inner=2, repeats=1, canary=0)
        >>> study = plan_study(
        ...     check_tables(
        ...         Path("features.csv"), Path("clinical.csv"), ("os_months", "os_event"),
        ...         settings, TableOptions(),
        ...     )
        ... )
        >>> [spec.name for spec in study.plan.specs][:2], len(study.warnings) > 0
        (['radiomics', 'radiomics, random forest'], True)
    """
    settings, endpoint, options = tables.settings, tables.endpoint, tables.options
    joined, left_out = without_gaps(tables.joined)
    plan = make_study(joined, endpoint, settings, tables.stability)
    missing = missing_values(joined, list(outer_parts(plan)), settings.imputations)
    notes = missing_notes(missing, settings.imputations)
    joined = replace(joined, notes=(*joined.notes, *notes))
    far = outliers(joined)
    found = doubts_of(joined, endpoint)
    doubts = [each.text for each in found]
    against = unnamed_columns(joined, endpoint, options)
    limits = [*warnings_of(joined, endpoint, settings), *against]
    warned = [
        *doubts,
        *limits,
        *id_warnings(joined, endpoint),
        *outlier_warnings(far),
    ]
    subgroups = [
        each
        for name in settings.subgroups
        for each in subgroups_of(name, cells_of(name, tables.table, joined))
    ]
    sites = None
    if settings.leave_out is not None:
        sites = cells_of(settings.leave_out, tables.table, joined).to_numpy(str)
        refuse_sites(plan, sites, settings.leave_out)
    return PreparedStudy(
        joined,
        endpoint,
        settings,
        options,
        plan,
        warned,
        [*(each.without_ids for each in found), *limits],
        tuple(against),
        doubts,
        cause_specific(endpoint, settings.time_unit),
        pd.concat([left_out, missing]) if len(left_out) else missing,
        far,
        cohort_of(tables.table, tables.in_both, joined, tables.outcome, options),
        subgroups,
        sites,
    )


def fit_model(  # noqa: PLR0913  keywords, as the command has options
    features: str | os.PathLike[str],
    outcome: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    label: str | None = None,
    positive: str | None = None,
    time: str | None = None,
    event: str | None = None,
    event_is: str | None = None,
    competing: Sequence[str] = (),
    trust_times: bool = False,
    id_column: str | None = None,
    outcome_id: str | None = None,
    clinical: Sequence[str] = (),
    batch: str | None = None,
    volume: str | None = None,
    group: str | None = None,
    roi: str | None = None,
    drop: Sequence[str] = (),
    exclude_warn: bool = False,
    stability: str | os.PathLike[str] | None = None,
    time_unit: str | None = None,
    horizons: Sequence[float] = (),
    subgroup: Sequence[str] = (),
    leave_out: str | None = None,
    model: str = _DEFAULTS.model,
    imputations: int = _DEFAULTS.imputations,
    folds: int = _DEFAULTS.outer,
    inner_folds: int = _DEFAULTS.inner,
    repeats: int = _DEFAULTS.repeats,
    canary: int = _DEFAULTS.canary,
    seed: int = _DEFAULTS.seed,
    workers: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> AnalysisResults:
    """Fit and validate models of a class (``label``) or of survival (``time`` and ``event``).

    Everything is fitted within the folds of a repeated nested cross-validation.

    Args:
        features: the table of features (CSV or Parquet), pancseg's or any other with an id column.
        outcome: CSV with the outcome, by id.
        out: folder for report, out-of-fold predictions, the model, settings and checklist; None
            writes nothing.
        label: column of the class.
        positive: the class to tell from all others.
        time: column of the follow-up time.
        event: column that says event or censored.
        event_is: the value that means event.
        competing: values of ``event`` that mean a competing event.
        trust_times: accept times that look as if they were in two units.
        id_column: id column of the features; by default ``patient_id``, else the first column.
        outcome_id: id column of the outcome file; by default a column of the same name, else
            ``patient_id``, else the first column.
        clinical: columns of clinical variables.
        batch: column of scanner or site, for ComBat within the folds.
        volume: column of the volume; by default the first column with a known name.
        group: column whose equal values stay in one fold; by default the patient.
        roi: the region, where the table has several.
        drop: columns that are not features.
        exclude_warn: leave out rows with ``qc_status`` warn too.
        stability: CSV with columns ``feature`` and ``icc``; of correlated features the most stable
            one is kept.
        time_unit: what a time of 1 is, such as ``months``, for the report.
        horizons: times that survival is reported for; by default quartiles of the event
            times, those after 0.
        subgroup: columns of either table whose values are reported as subgroups.
        leave_out: column of hospitals or sites, each of which is left out in turn, the model
            fitted to the others and judged in it (internal–external validation).
        model: the algorithm that is declared beforehand and saved.
        imputations: number of tables in which missing numbers are imputed, within the folds, by
            chained equations; the models fitted to them are averaged. 1: medians instead.
        folds: number of outer folds.
        inner_folds: number of inner folds.
        repeats: number of repeats of the nested cross-validation.
        canary: number of runs on permuted outcomes, and again on noise features: 3 or more, or 0
            for none.
        seed: random seed of folds, models, imputations, bootstrap and canary.
        workers: number of processes; by default the number of cores.
        report: called with each note and warning about the tables, and with a line after each fold.

    Returns:
        Measures with intervals, differences between models, the fitted models and the verdict;
        without measures when the canary finds a leak.

    Raises:
        ValueError: tables, columns or values that cannot be modelled.
        OSError: a file cannot be read or written.

    Example:
        >>> from pancseg import fit_model
        >>> results = fit_model(
        ...     "features.csv", "clinical.csv", "model", time="os_months", event="os_event",
        ...     folds=3, inner_folds=2, repeats=1, canary=0, workers=1,
        ... )
        >>> sorted(results.measures)
        ['best single feature', 'chance', 'radiomics', 'radiomics, random forest', 'volume only']
    """
    if label is not None and time is None and event is None:
        columns: tuple[str, ...] = (label,)
    elif label is None and time is not None and event is not None:
        columns = (time, event)
    else:
        raise ValueError("give either `label`, for a class, or `time` and `event`, for survival")
    if positive is not None and label is None:
        raise ValueError("`positive` is for a class (`label`); for survival give `event_is`")
    if label is not None and (horizons or time_unit):
        raise ValueError("`horizons` and `time_unit` are for survival; leave them out for a class")
    settings = settings_of(
        ModelSettings,
        {
            "kind": "survival" if label is None else "subtype",
            "positive": positive,
            "event_is": event_is,
            "competing": tuple(_listed(competing)),
            "trust_times": trust_times,
            "time_unit": time_unit,
            "horizons": tuple(horizons),
            "subgroups": tuple(dict.fromkeys(_listed(subgroup))),
            "leave_out": leave_out,
            "model": model,
            "imputations": imputations,
            "folds": folds,
            "inner_folds": inner_folds,
            "repeats": repeats,
            "canary": canary,
            "seed": seed,
        },
        "fit_model",
    )
    options = TableOptions(
        id_column=id_column,
        outcome_id=outcome_id,
        group=group,
        roi=roi,
        batch=batch,
        volume=volume,
        clinical=tuple(dict.fromkeys(_listed(clinical))),
        drop=tuple(_listed(drop)),
        exclude_warn=exclude_warn,
    )
    tables = check_tables(
        Path(features),
        Path(outcome),
        columns,
        settings,
        options,
        Path(stability) if stability is not None else None,
    )
    study = plan_study(tables)
    if out is not None:
        claim(Path(out))
    for line in [*study.joined.notes, *(f"warning: {line}" for line in study.warnings)]:
        report(line)
    results = study.analyse(workers, report)
    if out is not None:
        study.write(Path(out), results)
    return results


def _listed(columns: Sequence[str]) -> Sequence[str]:
    """Return columns as a list, one alone too."""
    return [columns] if isinstance(columns, str) else columns
