"""The command line: parse, load settings, one library call, a summary, an exit code.

Exit codes: 0 all well, 1 some patient is not usable, 2 usage. Heavy libraries are imported inside
the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

import pancseg
from pancseg.console import log_to_terminal, output_errors, progress, say, summary

if TYPE_CHECKING:
    from pancseg.case import Case
    from pancseg.cohort import Outcome
    from pancseg.segmentation import Segmenter
    from pancseg.settings import FeatureSettings

app = typer.Typer(
    help="From portal-venous abdominal CT to pancreas masks to a table of radiomics features. "
    "Research software, not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Cohort = Annotated[
    Path,
    typer.Argument(
        metavar="COHORT",
        help="A manifest CSV (patient_id, image, …), a folder of scans, or one scan.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder.", show_default=False)]
Masks = Annotated[
    Path | None,
    typer.Option(
        help="Folder of masks named <id>.nii.gz, or one mask for one scan.", show_default=False
    ),
]
Label = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Label of the region in given masks; default: all that is not zero.",
        show_default=False,
    ),
]
Config = Annotated[
    str, typer.Option(help="Feature settings: a preset or a pyradiomics parameter file.")
]
Weights = Annotated[str, typer.Option(help="Network weights: a shipped name or a file.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads; default: all cores.", show_default=False),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print paths and tracebacks of problems too.")
]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pancseg {pancseg.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
def segment(
    cohort: Cohort,
    out: Out,
    weights: Weights = "monet_nih",
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delineate the pancreas: COHORT → OUT/masks and OUT/masks.csv."""
    with _usage_errors(verbose):
        cases = _cases(cohort, out, None, None)
        segmenter = _segmenter(weights, threads)
    from pancseg.pipeline import segment_cohort

    with progress(len(cases), quiet) as report:
        outcomes = segment_cohort(cases, out, segmenter, report)
    _finish(outcomes, out / "masks.csv", quiet)


@app.command()
def extract(
    cohort: Cohort,
    out: Out,
    masks: Masks = None,
    label: Label = None,
    config: Config = "pancreas_ct",
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute features of existing masks: COHORT + masks → OUT/features.csv."""
    with _usage_errors(verbose):
        cases = _cases(cohort, out, masks, label)
        settings = _settings(config)
        _limit_threads(threads)
    outcomes = _run(cases, out, settings, None, quiet)
    _finish(outcomes, out / "features.csv", quiet)


@app.command()
def run(
    cohort: Cohort,
    out: Out,
    masks: Masks = None,
    label: Label = None,
    config: Config = "pancreas_ct",
    weights: Weights = "monet_nih",
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Segment, then compute features: COHORT → OUT/masks and OUT/features.csv.

    A case that comes with a mask keeps it.
    """
    with _usage_errors(verbose):
        cases = _cases(cohort, out, masks, label)
        settings = _settings(config)
        segmenter = _segmenter(weights, threads)
    outcomes = _run(cases, out, settings, segmenter, quiet)
    _finish(outcomes, out / "features.csv", quiet)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make or renew.")] = Path(
        "pancseg-demo"
    ),
    patients: Annotated[int, typer.Option(min=1, help="Number of synthetic patients.")] = 4,
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a small cohort of synthetic CTs, run everything on it, show the table.

    The masks come from weights trained on such synthetic CTs ("monet_phantom").
    """
    from pancseg import demo as synthetic

    with _usage_errors(verbose):
        settings = _settings("pancreas_ct")
        segmenter = _segmenter("monet_phantom", threads)
        with output_errors():
            manifest = synthetic.make_cohort(out, patients)
    cases = _cases(manifest, out, None, None)
    outcomes = _run(cases, out, settings, segmenter, quiet)
    if not quiet:
        say(synthetic.summary(outcomes, out), sys.stdout)
    _finish(outcomes, out / "features.csv", quiet)


def _run(
    cases: list[Case],
    out: Path,
    settings: FeatureSettings,
    segmenter: Segmenter | None,
    quiet: bool,
) -> list[Outcome]:
    from pancseg.pipeline import run_cohort

    with progress(len(cases), quiet) as report:
        return run_cohort(cases, out, settings, report, segmenter)


def _cases(cohort: Path, out: Path, masks: Path | None, label: int | None) -> list[Case]:
    from dataclasses import replace

    from pancseg.cohort import read_cohort

    cases = read_cohort(cohort, masks, leave_out=[out])
    return [replace(c, mask_label=c.mask_label or label) for c in cases]


def _settings(config: str) -> FeatureSettings:
    from pancseg import features
    from pancseg.settings import load_feature_settings

    settings = load_feature_settings(config)
    features.check(settings)
    return settings


def _segmenter(weights: str, threads: int | None) -> Segmenter:
    from pancseg import segmentation

    _limit_threads(threads)
    return segmentation.load(weights, threads=threads)


def _limit_threads(threads: int | None) -> None:
    import SimpleITK as sitk
    import threadpoolctl

    if threads:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        threadpoolctl.threadpool_limits(threads)


def _finish(outcomes: Sequence[Outcome], path: Path, quiet: bool) -> None:
    """Print the summary and leave with exit code 1 when some case is not usable."""
    unusable = sum(not outcome.usable for outcome in outcomes)
    if not quiet:
        say(summary(outcomes, path), sys.stdout)
    if unusable:
        raise typer.Exit(1)


@contextmanager
def _usage_errors(verbose: bool) -> Iterator[None]:
    """Turn what the user can mend before the work begins into clear lines and exit code 2."""
    from pancseg.case import CohortError

    if verbose:
        log_to_terminal()
    try:
        yield
    except CohortError as error:
        _refuse([f"cohort: {problem}" for problem in error.problems])
    except (OSError, ValueError) as error:
        logging.getLogger(__name__).debug("refused", exc_info=True)
        reason = error.strerror if isinstance(error, OSError) else None
        _refuse([f"a file cannot be reached: {reason}" if reason else str(error)])


def _refuse(lines: Sequence[str]) -> NoReturn:
    for line in lines:
        say(f"pancseg: {line}", sys.stderr)
    raise typer.Exit(2)
