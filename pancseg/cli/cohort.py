"""The commands over a cohort: check, segment, extract, run, demo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.options import (
    Cohort,
    Config,
    DecimalComma,
    Engine,
    Excel,
    Format,
    Label,
    Masks,
    Names,
    Out,
    Precision,
    Quiet,
    Roi,
    Threads,
    Verbose,
    Weights,
    limit_threads,
)
from pancseg.cli.refusal import usage_errors
from pancseg.console import output_errors, progress, say, summary
from pancseg.stages import timed

if TYPE_CHECKING:
    from pancseg.case import Case
    from pancseg.cohort import Outcome
    from pancseg.export import TableFormat
    from pancseg.segmentation import Segmenter
    from pancseg.settings import FeatureSettings


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
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Judge COHORT's scans, and masks where there are any, before anything expensive is done."""
    with usage_errors(verbose):
        cases = _rows(cohort, out, masks, label, roi)
        settings = _settings(config)
    from pancseg.check import check_cohort, write_check

    with progress(len(cases), quiet) as report:
        outcomes = check_cohort(cases, settings, report)
    for outcome in outcomes:
        if "duplicate" in outcome.reason.split(";"):
            say(f"{outcome.case.name}: {outcome.status}: {outcome.fact}", sys.stderr)
    path = out / "check.csv" if out else None
    if path:
        with output_errors():
            write_check(outcomes, path)
    _finish(outcomes, path, quiet)


def segment(
    cohort: Cohort,
    out: Out,
    weights: Weights = "monet_open",
    engine: Engine = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delineate the pancreas: COHORT → OUT/masks and OUT/masks.csv."""
    from pancseg.rows import one_per_scan

    with usage_errors(verbose):
        cases = one_per_scan(_cases(cohort, out))
        segmenter = _segmenter(weights, engine, precision, threads, quiet)
    from pancseg.pipeline import segment_cohort

    with progress(len(cases), quiet) as report:
        outcomes = segment_cohort(cases, out, segmenter, report)
    _finish(outcomes, out / "masks.csv", quiet)


def extract(
    cohort: Cohort,
    out: Out,
    masks: Masks = None,
    label: Label = None,
    roi: Roi = None,
    config: Config = "pancreas_ct",
    names: Names = "safe",
    format: Format = "csv",
    excel: Excel = False,
    decimal_comma: DecimalComma = False,
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute features of existing masks: COHORT + masks → OUT/features.csv."""
    with usage_errors(verbose):
        cases = _rows(cohort, out, masks, label, roi)
        settings = _settings(config)
        style = _style(format, names, excel, decimal_comma)
        limit_threads(threads)
    outcomes = _run(cases, out, settings, None, quiet, style)
    _finish(outcomes, out / f"features.{style.kind}", quiet)


def run(
    cohort: Cohort,
    out: Out,
    masks: Masks = None,
    label: Label = None,
    roi: Roi = None,
    config: Config = "pancreas_ct",
    weights: Weights = "monet_open",
    engine: Engine = "auto",
    precision: Precision = "fp32",
    names: Names = "safe",
    format: Format = "csv",
    excel: Excel = False,
    decimal_comma: DecimalComma = False,
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Segment, then compute features: COHORT → OUT/masks and OUT/features.csv.

    A case that comes with a mask keeps it.
    """
    with usage_errors(verbose):
        cases = _rows(cohort, out, masks, label, roi)
        settings = _settings(config)
        style = _style(format, names, excel, decimal_comma)
        segmenter = _segmenter(weights, engine, precision, threads, quiet)
    outcomes = _run(cases, out, settings, segmenter, quiet, style)
    _finish(outcomes, out / f"features.{style.kind}", quiet)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make or renew.")] = Path(
        "pancseg-demo"
    ),
    patients: Annotated[int, typer.Option(min=1, help="Number of synthetic patients.")] = 4,
    engine: Engine = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a small cohort of synthetic CTs, run everything on it, show the table.

    The masks come from weights trained on such synthetic CTs ("monet_phantom").
    """
    from pancseg import demo as synthetic

    with usage_errors(verbose):
        settings = _settings("pancreas_ct")
        segmenter = _segmenter("monet_phantom", engine, precision, threads, quiet)
        with output_errors():
            manifest = synthetic.make_cohort(out, patients)
    cases = _cases(manifest, out)
    outcomes = _run(cases, out, settings, segmenter, quiet, _style())
    if not quiet:
        say(synthetic.summary(outcomes, out), sys.stdout)
    _finish(outcomes, out / "features.csv", quiet)


def _run(
    cases: list[Case],
    out: Path,
    settings: FeatureSettings,
    segmenter: Segmenter | None,
    quiet: bool,
    style: TableFormat,
) -> list[Outcome]:
    from pancseg.pipeline import run_cohort

    with progress(len(cases), quiet) as report:
        return run_cohort(cases, out, settings, report, segmenter, style)


def _style(
    kind: str = "csv", names: str = "safe", excel: bool = False, decimal_comma: bool = False
) -> TableFormat:
    from pancseg.export import TableFormat

    return TableFormat(kind, names, excel, decimal_comma)


def _cases(cohort: Path, out: Path | None, masks: Path | None = None) -> list[Case]:
    from pancseg.cohort import read_cohort

    return read_cohort(cohort, masks, leave_out=[out] if out else [])


def _rows(
    cohort: Path, out: Path | None, masks: Path | None, label: int | None, roi: list[str] | None
) -> list[Case]:
    """Return the cohort's cases with the regions that the options name."""
    from pancseg import rows

    if label and roi:
        raise ValueError(
            f"--label and --roi both name regions; for label {label} write --roi NAME={label}"
        )
    regions = rows.named_regions(roi or [])
    cases = _cases(cohort, out, masks)
    if regions:
        return rows.one_per_region(cases, regions)
    return rows.with_label(cases, label) if label else cases


def _settings(config: str) -> FeatureSettings:
    from pancseg import features
    from pancseg.settings import load_feature_settings

    settings = load_feature_settings(config)
    features.check(settings)
    return settings


def _segmenter(
    weights: str, engine: str, precision: str, threads: int | None, quiet: bool
) -> Segmenter:
    """Load the segmenter and say what will run it."""
    with timed("import torch"):
        from pancseg import segmentation

    limit_threads(threads)
    segmenter = segmentation.load(weights, threads=threads, engine=engine, precision=precision)
    if not quiet:
        used = "1 thread" if segmenter.threads == 1 else f"{segmenter.threads} threads"
        say(f"engine {segmenter.engine}, {segmenter.precision}, {used}", sys.stdout)
    return segmenter


def _finish(outcomes: Sequence[Outcome], path: Path | None, quiet: bool) -> None:
    """Print the summary and leave with exit code 1 when some case is not usable."""
    unusable = sum(not outcome.usable for outcome in outcomes)
    if not quiet:
        say(summary(outcomes, path), sys.stdout)
    if unusable:
        raise typer.Exit(1)
