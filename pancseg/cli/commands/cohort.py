"""The commands over a cohort: check, segment, extract, run, demo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pancseg.cli.console import output_errors, progress, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import (
    Cohort,
    Config,
    Engine,
    Features,
    Limits,
    Masks,
    Network,
    Out,
    Precision,
    Printing,
    Privacy,
    Regions,
    Resuming,
    Running,
    Table,
    Threads,
    Workers,
    option,
)
from pancseg.cli.pseudonyms import NOTHING_HIDDEN, read_cases, tell_of_names
from pancseg.cli.run_options import finish, options_of, run_errors, tell_engine
from pancseg.features import DEFAULT_PRESET
from pancseg.segmentation import DEFAULT_ENGINE, DEFAULT_PRECISION

if TYPE_CHECKING:
    from pancseg.cohort.case import Case
    from pancseg.features.settings import FeatureSettings
    from pancseg.processing.row import CaseResult
    from pancseg.tables.format import TableFormat


_MOST_LINES = 20


def check(
    *,
    cohort: Cohort,
    masks: Masks = None,
    regions: Regions,
    config: Config = DEFAULT_PRESET,
    out: Annotated[
        Path | None,
        option("Output", "--out", "-o", help="Folder for check.csv."),
    ] = None,
    running: Running,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Judge the scans of COHORT, and masks if there are any, before anything expensive is done."""
    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose):
        cases = _rows(read_cases(cohort, out, masks, privacy), regions)
        settings = _settings(config)
        options = options_of(running, privacy, verbose=verbose)
    tell_of_names(cohort, privacy, quiet)
    from pancseg.pipeline.check import check_cases, write_check

    with run_errors(), progress(len(cases), quiet, "nothing is written") as report:
        results = check_cases(cases, settings, report, options)
    _tell_duplicates(results)
    path = out / "check.csv" if out else None
    if path:
        with output_errors():
            write_check(results, path, pseudonyms=options.pseudonyms)
    finish(results, path, quiet)


def segment(
    *,
    cohort: Cohort,
    config: Limits = DEFAULT_PRESET,
    network: Network,
    out: Out,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Segment the pancreas: COHORT → OUT/masks and OUT/masks.csv."""
    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose):
        from pancseg.cohort.regions import one_per_scan

        settings = _settings(config)
        cases = one_per_scan(read_cases(cohort, out, privacy=privacy))
        options = options_of(running, privacy, verbose=verbose)
    tell_of_names(cohort, privacy, quiet)
    from pancseg.pipeline.cohort import segment_cohort

    with run_errors(), progress(len(cases), quiet) as report:
        results = segment_cohort(
            cases,
            out,
            **vars(network),
            settings=settings,
            options=options,
            report=report,
            started=tell_engine(quiet),
        )
    _tell_duplicates(results)
    finish(results, out / "masks.csv", quiet, log=out / "run.jsonl")


def extract(
    *,
    cohort: Cohort,
    masks: Masks = None,
    regions: Regions,
    features: Features,
    out: Out,
    table: Table,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Compute features of existing masks: COHORT + masks → OUT/features.csv."""
    _measure(cohort, masks, regions, None, features, out, table, running, printing, privacy)


def run(
    *,
    cohort: Cohort,
    masks: Masks = None,
    regions: Regions,
    network: Network,
    features: Features,
    out: Out,
    table: Table,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Segment, then compute features: COHORT → OUT/masks and OUT/features.csv.

    A case that has a mask keeps it. Run again, the same command processes only scans that are new,
    changed or failed.
    """
    _measure(cohort, masks, regions, network, features, out, table, running, printing, privacy)


def _measure(
    cohort: Path,
    masks: Path | None,
    regions: Regions,
    network: Network | None,
    features: Features,
    out: Path,
    table: Table,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Make the table of features, of given masks or, with a network, also of its masks."""
    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose):
        cases = _rows(read_cases(cohort, out, masks, privacy), regions)
        settings = _settings(features.config)
        style = _style(table, cases)
        options = options_of(running, privacy, verbose=verbose)
    tell_of_names(cohort, privacy, quiet)
    from pancseg.pipeline.cohort import extract_cohort, run_cohort

    with run_errors(), progress(len(cases), quiet) as report:
        process: Callable[..., list[CaseResult]] = extract_cohort
        if network:
            process = partial(run_cohort, **vars(network), started=tell_engine(quiet))
        results = process(
            cases,
            out,
            settings=settings,
            keep_failed=features.keep_failed,
            table=style,
            options=options,
            report=report,
        )
    _tell_duplicates(results)
    finish(results, out / f"features.{style.kind}", quiet, log=out / "run.jsonl")


def demo(
    *,
    patients: Annotated[int, option("Input", min=1, help="Number of synthetic patients.")] = 4,
    engine: Engine = DEFAULT_ENGINE,
    precision: Precision = DEFAULT_PRECISION,
    out: Annotated[
        Path, option("Output", "--out", "-o", help="Output folder: new, or an earlier demo's.")
    ] = Path("pancseg-demo"),
    workers: Workers = None,
    threads: Threads = None,
    printing: Printing,
) -> None:
    """Make a small cohort of synthetic CTs, run everything on it, and show the table.

    The weights (monet_phantom) were trained on such synthetic CTs.
    """
    from pancseg.pipeline import demo as synthetic

    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose):
        settings = synthetic.settings_of(_settings("pancreas_ct"))
        options = options_of(Running(workers, threads), NOTHING_HIDDEN, verbose=verbose)
        with output_errors():
            manifest = synthetic.make_cohort(out, patients)
        cases = read_cases(manifest, out)
    from pancseg.pipeline.cohort import run_cohort

    with run_errors(), progress(len(cases), quiet) as report:
        results = run_cohort(
            cases,
            out,
            settings=settings,
            weights="monet_phantom",
            engine=engine,
            precision=precision,
            options=options,
            report=report,
            started=tell_engine(quiet),
        )
    if not quiet:
        say(synthetic.summary(results, out), sys.stdout)
    finish(results, out / "features.csv", quiet, log=out / "run.jsonl")


def _tell_duplicates(results: Sequence[CaseResult]) -> None:
    """Print the duplicates, which are known only once all scans are done."""
    found = [result for result in results if "duplicate" in result.reason.split(";")]
    for result in found[:_MOST_LINES]:
        say(f"{result.case.name}: {result.status}: {result.fact}", sys.stderr)
    if len(found) > _MOST_LINES:
        say(f"and {len(found) - _MOST_LINES} more duplicates; see column qc_reasons", sys.stderr)


def _style(table: Table, cases: Sequence[Case]) -> TableFormat:
    """Return the table's format; refuse ids that it cannot hold."""
    from pancseg.tables.format import TableFormat

    style = TableFormat(table.format, table.names, table.excel, table.decimal_comma)
    style.check_ids(text for c in cases for text in (c.patient_id, c.scan_id, c.roi))
    return style


def _rows(cases: list[Case], regions: Regions) -> list[Case]:
    """Return the cohort's cases with the regions that the options name."""
    from pancseg.cohort.regions import named_regions, one_per_region, with_label

    label, roi = regions.label, regions.roi
    if label and roi:
        raise ValueError(
            f"--label and --roi both name regions; for label {label} write --roi NAME={label}"
        )
    if named := named_regions(roi or []):
        return one_per_region(cases, named)
    return with_label(cases, label) if label else cases


def _settings(config: str) -> FeatureSettings:
    """Load settings; the first worker that starts checks whether they suit their mode."""
    from pancseg.features.settings import load_feature_settings

    return load_feature_settings(config)
