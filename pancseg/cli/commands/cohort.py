"""The commands over a cohort: check, segment, extract, run, demo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pancseg.cli.commands.report import import_page, tell_page
from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.estimate import tell_estimate
from pancseg.cli.options import (
    Cohort,
    Config,
    Engine,
    Features,
    Limits,
    Masks,
    Measuring,
    Network,
    Only,
    Out,
    Page,
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
from pancseg.cli.parameters import with_options
from pancseg.cli.pseudonyms import NOTHING_HIDDEN, read_cases, tell_of_names
from pancseg.cli.run_display import run_display
from pancseg.cli.run_options import early_worker, finish, options_of, run_errors, tell_plan
from pancseg.cli.summary import Written
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
    measuring: Measuring,
    config: Config = DEFAULT_PRESET,
    out: Annotated[
        Path | None,
        option(
            "Output",
            "--out",
            "-o",
            help="Folder for check.csv. With --estimate: of an earlier run, whose rows count as "
            "done.",
        ),
    ] = None,
    estimate: Annotated[
        bool,
        option(
            "Running",
            "--estimate",
            help="Judge nothing, but say how long run would take on this machine, from headers "
            "and some seconds of measuring.",
        ),
    ] = False,
    running: Running,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Judge the scans of COHORT, and masks if there are any, before anything expensive is done."""
    quiet, verbose = printing.quiet, printing.verbose
    before = nullcontext() if estimate else early_worker(running, verbose)
    with usage_errors(verbose), before as early:
        from pancseg.system.output_folder import check_output_folder

        if out:
            check_output_folder(out)
        if measuring != Measuring() and not estimate:
            raise ValueError(
                "check runs no network; --weights, --engine, --precision, --looks and --allow-code "
                "are for --estimate"
            )
        cases = _rows(read_cases(cohort, out, masks, privacy), regions)
        settings = _settings(config)
        options = options_of(running, privacy, verbose=verbose)
    tell_of_names(cohort, out, privacy, quiet)
    if estimate:
        tell_estimate(cases, out, settings, measuring, options)
        return
    from pancseg.pipeline.check import check_cases, write_check

    told = tell_plan(settings, quiet, measured=False)
    with run_errors(), run_display(len(cases), quiet, "nothing is written") as shown:
        results = check_cases(
            cases, settings, shown.report, options, started=told, watch=shown.watch, early=early
        )
    _tell_duplicates(results)
    path = out / "check.csv" if out else None
    if path:
        with output_errors():
            write_check(results, path, pseudonyms=options.pseudonyms, words=with_options)
    finish(results, quiet, table=path.name if path else "")


def segment(
    *,
    cohort: Cohort,
    only: Only = None,
    config: Limits = DEFAULT_PRESET,
    network: Network,
    out: Out,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Segment the pancreas: COHORT → OUT/masks and OUT/masks.csv."""
    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose), early_worker(running, verbose) as early:
        from pancseg.cohort.regions import one_per_scan

        settings = _settings(config)
        cases = one_per_scan(read_cases(cohort, out, privacy=privacy))
        count = _count(cases, only, privacy)
        options = options_of(running, privacy, verbose=verbose)
    tell_of_names(cohort, out, privacy, quiet)
    from pancseg.pipeline.cohort import segment_cohort

    with run_errors(), run_display(count, quiet) as shown:
        results = segment_cohort(
            cases,
            out,
            **vars(network),
            settings=settings,
            only=only,
            options=options,
            report=shown.report,
            watch=shown.watch,
            started=tell_plan(settings, quiet, measured=False),
            words=with_options,
            early=early,
        )
    _tell_duplicates(results)
    finish(results, quiet, written=Written(out, ("masks.csv",), masks=True))


def extract(
    *,
    cohort: Cohort,
    masks: Masks = None,
    only: Only = None,
    regions: Regions,
    features: Features,
    out: Out,
    table: Table,
    page: Page,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Compute features of existing masks: COHORT + masks → OUT/features.csv."""
    _measure(
        cohort, masks, only, regions, None, features, out, table, page, running, printing, privacy
    )


def run(
    *,
    cohort: Cohort,
    masks: Masks = None,
    only: Only = None,
    regions: Regions,
    network: Network,
    features: Features,
    out: Out,
    table: Table,
    page: Page,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Segment, then compute features: COHORT → OUT/masks and OUT/features.csv.

    A case that has a mask keeps it. Run again, the same command processes only scans that are new,
    changed or failed.
    """
    _measure(
        cohort, masks, only, regions, network, features, out, table, page, running, printing,
        privacy,
    )  # fmt: skip


def _measure(
    cohort: Path,
    masks: Path | None,
    only: list[str] | None,
    regions: Regions,
    network: Network | None,
    features: Features,
    out: Path,
    table: Table,
    page: Page,
    running: Resuming,
    printing: Printing,
    privacy: Privacy,
) -> None:
    """Make the table of features, of given masks or, with a network, also of its masks."""
    quiet, verbose = printing.quiet, printing.verbose
    meanwhile = None if page.no_report else import_page
    with usage_errors(verbose), early_worker(running, verbose, meanwhile) as early:
        cases = _rows(read_cases(cohort, out, masks, privacy), regions)
        settings = _settings(features.config)
        style = _style(table)
        count = _count(cases, only, privacy)
        options = options_of(running, privacy, verbose=verbose)
    tell_of_names(cohort, out, privacy, quiet)
    from pancseg.pipeline.cohort import extract_cohort, run_cohort

    with run_errors(), run_display(count, quiet) as shown:
        process: Callable[..., list[CaseResult]] = extract_cohort
        if network:
            process = partial(run_cohort, **vars(network))
        results = process(
            cases,
            out,
            settings=settings,
            keep_failed=features.keep_failed,
            keep_truncated_shape=features.keep_truncated_shape,
            table=style,
            pictures=not page.no_report,
            only=only,
            options=options,
            report=shown.report,
            watch=shown.watch,
            started=tell_plan(settings, quiet),
            words=with_options,
            early=early,
        )
    _tell_duplicates(results)
    if not page.no_report:
        with output_errors():
            tell_page(out, quiet=True)
    written = Written(out, _tables(style), masks=network is not None, page=not page.no_report)
    finish(results, quiet, written=written)


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
    running = Running(workers, threads)
    with usage_errors(verbose), early_worker(running, verbose, import_page) as early:
        settings = synthetic.settings_of(_settings("pancreas_ct"))
        options = options_of(running, NOTHING_HIDDEN, verbose=verbose)
        with output_errors():
            manifest = synthetic.make_cohort(out, patients)
        cases = read_cases(manifest, out)
    from pancseg.pipeline.cohort import run_cohort

    with run_errors(), run_display(len(cases), quiet) as shown:
        results = run_cohort(
            cases,
            out,
            settings=settings,
            weights="monet_phantom",
            engine=engine,
            precision=precision,
            options=options,
            report=shown.report,
            watch=shown.watch,
            started=tell_plan(settings, quiet),
            words=with_options,
            early=early,
        )
    if not quiet:
        say(synthetic.summary(results, out), sys.stdout)
    with output_errors():
        tell_page(out, quiet=True)
    finish(results, quiet, written=Written(out, ("features.csv",), masks=True, page=True))


def _tell_duplicates(results: Sequence[CaseResult]) -> None:
    """Print the duplicates, which are known only once all scans are done."""
    from pancseg.processing.duplicates import same_voxels

    found: dict[frozenset[str], str] = {}  # one line per group of scans, not one per row
    for result in results:
        if result.same_scan:
            name = result.case.scan_name
            line = f"{name}: {result.status} (duplicate): {same_voxels(result.same_scan)}"
            found.setdefault(frozenset({name, *result.same_scan}), line)
    for line in list(found.values())[:_MOST_LINES]:
        say(line, sys.stderr)
    if len(found) > _MOST_LINES:
        more = len(found) - _MOST_LINES
        say(f"and {more} more groups of duplicates; see column qc_reasons", sys.stderr)


def _tables(style: TableFormat) -> tuple[str, ...]:
    names = ("features", "features_wide") if style.wide else ("features",)
    return tuple(f"{name}.{style.kind}" for name in names)


def _count(cases: list[Case], only: list[str] | None, privacy: Privacy) -> int:
    """Return how many rows are made, and not kept."""
    from pancseg.cohort.choosing import chosen

    if only is None:
        return len(cases)
    return sum(chosen(cases, only, show=not privacy.pseudonymise))


def _style(table: Table) -> TableFormat:
    from pancseg.tables.format import TableFormat

    return TableFormat(table.format, table.names, table.excel, table.decimal_comma, table.wide)


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
