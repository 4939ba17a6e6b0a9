"""The commands over a cohort: check, segment, extract, run, demo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.console import output_errors, progress, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import (
    Cohort,
    Config,
    DecimalComma,
    Engine,
    Excel,
    Format,
    IdMap,
    KeepFailed,
    Label,
    Limits,
    Masks,
    Memory,
    Names,
    NoRetry,
    Out,
    Precision,
    Pseudonymise,
    Quiet,
    Roi,
    Scheduler,
    Slurm,
    Strict,
    Threads,
    Timeout,
    Uncertainty,
    Verbose,
    Weights,
    Workers,
)
from pancseg.cli.pseudonyms import PseudonymOptions, read_cases, tell_of_names
from pancseg.cli.run_options import finish, options_of, run_errors, tell_engine

if TYPE_CHECKING:
    from pancseg.cohort.case import Case
    from pancseg.features.settings import FeatureSettings
    from pancseg.processing.row import CaseResult
    from pancseg.tables.format import TableFormat


_MOST_LINES = 20


def check(
    cohort: Cohort,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for check.csv.", show_default=False),
    ] = None,
    masks: Masks = None,
    label: Label = None,
    roi: Roi = None,
    config: Config = "pancreas_ct",
    workers: Workers = None,
    threads: Threads = None,
    timeout: Timeout = None,
    memory: Memory = None,
    pseudonymise: Pseudonymise = None,
    id_map: IdMap = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Judge COHORT's scans, and masks where there are any, before anything expensive is done."""
    hiding = PseudonymOptions(pseudonymise, id_map)
    with usage_errors(verbose):
        cases = _rows(read_cases(cohort, out, masks, hiding), label, roi)
        settings = _settings(config)
        options = options_of(workers, threads, timeout, memory, verbose=verbose)
    tell_of_names(cohort, hiding, quiet)
    from pancseg.pipeline.check import check_cohort, write_check

    with run_errors(), progress(len(cases), quiet, "nothing is written") as report:
        outcomes = check_cohort(cases, settings, report, options)
    _tell_duplicates(outcomes)
    path = out / "check.csv" if out else None
    if path:
        with output_errors():
            write_check(outcomes, path, pseudonyms=pseudonymise is not None)
    finish(outcomes, path, quiet)


def segment(
    cohort: Cohort,
    out: Out,
    weights: Weights = "monet_open",
    engine: Engine = "auto",
    precision: Precision = "fp32",
    uncertainty: Uncertainty = 0,
    config: Limits = "pancreas_ct",
    workers: Workers = None,
    threads: Threads = None,
    timeout: Timeout = None,
    memory: Memory = None,
    no_retry: NoRetry = False,
    strict: Strict = False,
    scheduler: Scheduler = None,
    slurm: Slurm = None,
    pseudonymise: Pseudonymise = None,
    id_map: IdMap = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delineate the pancreas: COHORT → OUT/masks and OUT/masks.csv."""
    from pancseg.cohort.regions import one_per_scan

    hiding = PseudonymOptions(pseudonymise, id_map)
    with usage_errors(verbose):
        limits = _settings(config).quality
        cases = one_per_scan(read_cases(cohort, out, hiding=hiding))
        options = options_of(workers, threads, timeout, memory, scheduler, slurm, verbose=verbose)
    options = replace(
        options, retry=not no_retry, strict=strict, pseudonyms=pseudonymise is not None
    )
    tell_of_names(cohort, hiding, quiet)
    from pancseg.pipeline.cohort_run import run_plan
    from pancseg.processing.plan import ProcessingPlan

    work = ProcessingPlan(
        "segment", None, weights, engine, precision, uncertainty=uncertainty, limits=limits
    )
    with run_errors(), progress(len(cases), quiet) as report:
        outcomes = run_plan(cases, out, work, report, options, started=tell_engine(quiet))
    _tell_duplicates(outcomes)
    finish(outcomes, out / "masks.csv", quiet, log=out / "run.jsonl")


def extract(
    cohort: Cohort,
    out: Out,
    masks: Masks = None,
    label: Label = None,
    roi: Roi = None,
    config: Config = "pancreas_ct",
    keep_failed: KeepFailed = False,
    names: Names = "safe",
    format: Format = "csv",
    excel: Excel = False,
    decimal_comma: DecimalComma = False,
    workers: Workers = None,
    threads: Threads = None,
    timeout: Timeout = None,
    memory: Memory = None,
    no_retry: NoRetry = False,
    strict: Strict = False,
    scheduler: Scheduler = None,
    slurm: Slurm = None,
    pseudonymise: Pseudonymise = None,
    id_map: IdMap = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute features of existing masks: COHORT + masks → OUT/features.csv."""
    hiding = PseudonymOptions(pseudonymise, id_map)
    with usage_errors(verbose):
        cases = _rows(read_cases(cohort, out, masks, hiding), label, roi)
        settings = _settings(config)
        style = _style(format, names, excel, decimal_comma, cases)
        options = options_of(workers, threads, timeout, memory, scheduler, slurm, verbose=verbose)
    options = replace(
        options, retry=not no_retry, strict=strict, pseudonyms=pseudonymise is not None
    )
    tell_of_names(cohort, hiding, quiet)
    from pancseg.pipeline.cohort_run import run_plan
    from pancseg.processing.plan import ProcessingPlan

    work = ProcessingPlan("extract", settings, keep_failed=keep_failed)
    with run_errors(), progress(len(cases), quiet) as report:
        outcomes = run_plan(cases, out, work, report, options, style)
    _tell_duplicates(outcomes)
    finish(outcomes, out / f"features.{style.kind}", quiet, log=out / "run.jsonl")


def run(
    cohort: Cohort,
    out: Out,
    masks: Masks = None,
    label: Label = None,
    roi: Roi = None,
    config: Config = "pancreas_ct",
    keep_failed: KeepFailed = False,
    weights: Weights = "monet_open",
    engine: Engine = "auto",
    precision: Precision = "fp32",
    uncertainty: Uncertainty = 0,
    names: Names = "safe",
    format: Format = "csv",
    excel: Excel = False,
    decimal_comma: DecimalComma = False,
    workers: Workers = None,
    threads: Threads = None,
    timeout: Timeout = None,
    memory: Memory = None,
    no_retry: NoRetry = False,
    strict: Strict = False,
    scheduler: Scheduler = None,
    slurm: Slurm = None,
    pseudonymise: Pseudonymise = None,
    id_map: IdMap = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Segment, then compute features: COHORT → OUT/masks and OUT/features.csv.

    A case that comes with a mask keeps it. The same command again does only what is new, changed
    or failed.
    """
    hiding = PseudonymOptions(pseudonymise, id_map)
    with usage_errors(verbose):
        cases = _rows(read_cases(cohort, out, masks, hiding), label, roi)
        settings = _settings(config)
        style = _style(format, names, excel, decimal_comma, cases)
        options = options_of(workers, threads, timeout, memory, scheduler, slurm, verbose=verbose)
    options = replace(
        options, retry=not no_retry, strict=strict, pseudonyms=pseudonymise is not None
    )
    tell_of_names(cohort, hiding, quiet)
    from pancseg.pipeline.cohort_run import run_plan
    from pancseg.processing.plan import ProcessingPlan

    work = ProcessingPlan(
        "run",
        settings,
        weights,
        engine,
        precision,
        keep_failed=keep_failed,
        uncertainty=uncertainty,
    )
    with run_errors(), progress(len(cases), quiet) as report:
        outcomes = run_plan(cases, out, work, report, options, style, started=tell_engine(quiet))
    _tell_duplicates(outcomes)
    finish(outcomes, out / f"features.{style.kind}", quiet, log=out / "run.jsonl")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make or renew.")] = Path(
        "pancseg-demo"
    ),
    patients: Annotated[int, typer.Option(min=1, help="Number of synthetic patients.")] = 4,
    engine: Engine = "auto",
    precision: Precision = "fp32",
    workers: Workers = None,
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a small cohort of synthetic CTs, run everything on it, show the table.

    The masks come from weights trained on such synthetic CTs ("monet_phantom").
    """
    from pancseg.pipeline import demo as synthetic

    with usage_errors(verbose):
        settings = synthetic.settings_of(_settings("pancreas_ct"))
        options = options_of(workers, threads, verbose=verbose)
        with output_errors():
            manifest = synthetic.make_cohort(out, patients)
    cases = read_cases(manifest, out)
    from pancseg.pipeline.cohort_run import run_plan
    from pancseg.processing.plan import ProcessingPlan

    work = ProcessingPlan("run", settings, "monet_phantom", engine, precision)
    with run_errors(), progress(len(cases), quiet) as report:
        outcomes = run_plan(cases, out, work, report, options, started=tell_engine(quiet))
    if not quiet:
        say(synthetic.summary(outcomes, out), sys.stdout)
    finish(outcomes, out / "features.csv", quiet, log=out / "run.jsonl")


def _tell_duplicates(outcomes: Sequence[CaseResult]) -> None:
    """Name them at the end: only then they are known."""
    found = [outcome for outcome in outcomes if "duplicate" in outcome.reason.split(";")]
    for outcome in found[:_MOST_LINES]:
        say(f"{outcome.case.name}: {outcome.status}: {outcome.fact}", sys.stderr)
    if len(found) > _MOST_LINES:
        say(f"and {len(found) - _MOST_LINES} more duplicates; see qc_reasons", sys.stderr)


def _style(
    kind: str, names: str, excel: bool, decimal_comma: bool, cases: Sequence[Case]
) -> TableFormat:
    """Return how the table is written; refuse ids that do not go with it."""
    from pancseg.tables.format import TableFormat

    style = TableFormat(kind, names, excel, decimal_comma)
    style.check_ids(text for c in cases for text in (c.patient_id, c.scan_id, c.roi))
    return style


def _rows(cases: list[Case], label: int | None, roi: list[str] | None) -> list[Case]:
    """Return the cohort's cases with the regions that the options name."""
    from pancseg.cohort.regions import named_regions, one_per_region, with_label

    if label and roi:
        raise ValueError(
            f"--label and --roi both name regions; for label {label} write --roi NAME={label}"
        )
    regions = named_regions(roi or [])
    if regions:
        return one_per_region(cases, regions)
    return with_label(cases, label) if label else cases


def _settings(config: str) -> FeatureSettings:
    """Load settings; whether they suit their mode is said by the first worker that starts."""
    from pancseg.features.settings import load_feature_settings

    return load_feature_settings(config)
