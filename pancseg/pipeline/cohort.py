"""The public functions over a cohort: check its scans, segment them, extract features, or both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case
from pancseg.cohort.discovery import read_cohort
from pancseg.cohort.given_cases import checked
from pancseg.cohort.regions import named_regions, one_per_region, one_per_scan, with_label
from pancseg.features import DEFAULT_PRESET
from pancseg.features.settings import FeatureSettings, as_feature_settings
from pancseg.pipeline.check import check_cases
from pancseg.pipeline.cohort_run import ignore, run_plan
from pancseg.pipeline.output import PLAIN_CSV
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.running.executors.early import EarlyWorker
from pancseg.running.options import DEFAULT as HERE
from pancseg.running.options import RunOptions
from pancseg.running.progress import RunProgress
from pancseg.segmentation import DEFAULT_ENGINE, DEFAULT_PRECISION, DEFAULT_WEIGHTS
from pancseg.tables.format import TableFormat

Cohort = str | os.PathLike[str] | Case | Sequence[Case]
"""The path of a manifest, of a folder of scans or of one scan; or a sequence of cases."""
Settings = FeatureSettings | str | Path


def check_cohort(  # noqa: PLR0913  keywords, as the command has options
    cohort: Cohort,
    *,
    masks: str | os.PathLike[str] | None = None,
    label: int | str | None = None,
    regions: Mapping[str, str] | None = None,
    settings: Settings = DEFAULT_PRESET,
    options: RunOptions = HERE,
    report: Callable[[CaseResult], None] = ignore,
    watch: Callable[[RunProgress], None] = ignore,
) -> list[CaseResult]:
    """Judge scans, and masks where there are any, before anything expensive is done.

    Scans with the same voxels under two ids are both ``duplicate``, whatever their geometry and
    orientation.

    Args:
        cohort: a manifest, a folder of scans or one scan, by its path; or cases.
        masks: folder of given masks named ``<id>.nii.gz``, or one mask for one scan; for cohorts
            given by a path.
        label: label of the region in given masks; by default the only one, or 1 and 2.
        regions: name → expression of each region that gets a row, such as ``{"tumour": "2"}``.
        settings: limits of the verdict: a preset's name, a settings file, or loaded settings.
        options: where and how the scans are processed.
        report: called with each result as soon as it is available; duplicates are found later.
        watch: called with the progress when a scan reaches a stage, and when it is done.

    Returns:
        One result per row; nothing is written.

    Raises:
        CohortError, RunRefused: as for :func:`segment_cohort`.
        ValueError: invalid regions, or settings that do not exist.

    Example:
        >>> from pancseg import check_cohort
        >>> [(result.status, result.reason) for result in check_cohort("cohort.csv")]
        [('warn', 'thick_slices')]
    """
    cases = with_regions(cases_of(cohort, None, masks), label, regions)
    return check_cases(cases, as_feature_settings(settings), report, options, watch=watch)


def segment_cohort(  # noqa: PLR0913  keywords, as the command has options
    cohort: Cohort,
    out: str | os.PathLike[str],
    *,
    weights: str | Path = DEFAULT_WEIGHTS,
    engine: str = DEFAULT_ENGINE,
    precision: str = DEFAULT_PRECISION,
    looks: int | None = None,
    uncertainty: int = 0,
    settings: Settings = DEFAULT_PRESET,
    allow_code: bool = False,
    only: Sequence[str] | None = None,
    options: RunOptions = HERE,
    report: Callable[[CaseResult], None] = ignore,
    started: Callable[[Mapping[str, Any]], None] = ignore,
    watch: Callable[[RunProgress], None] = ignore,
    words: Callable[[str], str] = str,
    early: EarlyWorker | None = None,
) -> list[CaseResult]:
    """Segment the pancreas in every scan, and write ``out/masks`` and ``out/masks.csv``.

    After an interruption, the same call processes only scans that are new, changed or failed.

    Args:
        cohort: a manifest, a folder of scans or one scan, by its path; or cases.
        out: output folder, made if need be.
        weights: a shipped name or a checkpoint file.
        engine: what runs the network: ``auto``, ``torch``, ``openvino`` or ``cuda``.
        precision: precision of the network's arithmetic: ``fp32``, ``bf16`` where the hardware has
            it, or ``int8`` in OpenVINO, if the weights hold ranges of activations.
        looks: 1, or 2 for a second look at full resolution; by default as many as the weights have
            networks for.
        uncertainty: passes of the network with dropout, whose masks are compared; 0 for none. Of
            two looks, these are passes of the first.
        settings: limits of the verdict: a preset's name, a settings file, or loaded settings.
        allow_code: accept weights of a network outside pancseg, whose code then runs.
        only: ids of the patients or scans to process, as in the table; all others keep the rows
            that an earlier run into ``out`` gave them, without a look at their scans.
        options: where and how the scans are processed.
        report: called with each result as soon as it is available, but not with kept rows.
        started: called with the weights and the engine, before the first scan.
        watch: called with the progress when a scan reaches a stage, and when it is done.
        words: turns a message that names parameters in backticks into the caller's words, for the
            table's ``qc_message``.
        early: a worker process that was started before the cohort was read, as the command line
            does.

    Returns:
        One result per scan.

    Raises:
        CohortError: the cohort has problems, all of which are listed.
        RunRefused: the run cannot be started with these arguments, or another run writes into
            ``out``.
        OSError: the output cannot be written.
        RunStopped: a strict run met a row that is not usable.

    Example:
        >>> from pancseg import segment_cohort
        >>> (result,) = segment_cohort("cohort.csv", "results", weights="monet_phantom")
        >>> round(result.values["qc_volume_ml"])
        62
    """
    plan = ProcessingPlan(
        "segment",
        None,
        str(weights),
        engine,
        precision,
        looks=looks,
        uncertainty=uncertainty,
        limits=as_feature_settings(settings).limits,
        allow_code=allow_code,
    )
    cases = one_per_scan(cases_of(cohort, out))
    return run_plan(
        cases, Path(out), plan, report, options, only=only, started=started, watch=watch,
        words=words, early=early,
    )  # fmt: skip


def extract_cohort(  # noqa: PLR0913
    cohort: Cohort,
    out: str | os.PathLike[str],
    *,
    masks: str | os.PathLike[str] | None = None,
    label: int | str | None = None,
    regions: Mapping[str, str] | None = None,
    settings: Settings = DEFAULT_PRESET,
    keep_failed: bool = False,
    keep_truncated_shape: bool = False,
    table: TableFormat = PLAIN_CSV,
    pictures: bool = True,
    only: Sequence[str] | None = None,
    options: RunOptions = HERE,
    report: Callable[[CaseResult], None] = ignore,
    started: Callable[[Mapping[str, Any]], None] = ignore,
    watch: Callable[[RunProgress], None] = ignore,
    words: Callable[[str], str] = str,
    early: EarlyWorker | None = None,
) -> list[CaseResult]:
    """Compute features of existing masks, and write ``out/features.csv`` with its codebook.

    Args:
        cohort: a manifest, a folder of scans or one scan, by its path; or cases.
        out: output folder, made if need be.
        masks: folder of masks named ``<id>.nii.gz``, or one mask for one scan; for cohorts given
            by a path.
        label: label of the region in given masks; by default the only one, or 1 and 2.
        regions: name → expression of each region that gets a row, such as ``{"tumour": "2"}``.
        settings: a preset's name, a pyradiomics parameter file, or loaded settings.
        keep_failed: compute features also of regions that fail the verdict.
        keep_truncated_shape: keep the shape of regions that the scan's edge cuts off, in masks that
            a person drew.
        table: format of the table.
        pictures: make the pictures of every row that :func:`pancseg.write_report` shows.
        only: ids of the patients or scans to process, as in the table; all others keep the rows
            that an earlier run into ``out`` gave them, without a look at their scans.
        options: where and how the scans are processed.
        report: called with each result as soon as it is available, but not with kept rows.
        started: called before the first scan, with an empty mapping, as there is no network.
        watch: called with the progress when a scan reaches a stage, and when it is done.
        words: turns a message that names parameters in backticks into the caller's words, for the
            table's ``qc_message``.
        early: a worker process that was started before the cohort was read, as the command line
            does.

    Returns:
        One result per row.

    Raises:
        CohortError, RunRefused, OSError, RunStopped: as for :func:`segment_cohort`.
        ValueError: invalid regions, or settings that do not exist.

    Example:
        >>> from pancseg import extract_cohort, results_table
        >>> results = extract_cohort("cohort.csv", "results", masks="masks")
        >>> len(results_table(results).columns)
        414
    """
    cases = with_regions(cases_of(cohort, out, masks), label, regions)
    plan = ProcessingPlan(
        "extract",
        as_feature_settings(settings),
        keep_failed=keep_failed,
        keep_truncated_shape=keep_truncated_shape,
        pictures=pictures,
    )
    _check_format(table)
    return run_plan(
        cases, Path(out), plan, report, options, table, only=only, started=started, watch=watch,
        words=words, early=early,
    )  # fmt: skip


def run_cohort(  # noqa: PLR0913
    cohort: Cohort,
    out: str | os.PathLike[str],
    *,
    masks: str | os.PathLike[str] | None = None,
    label: int | str | None = None,
    regions: Mapping[str, str] | None = None,
    settings: Settings = DEFAULT_PRESET,
    keep_failed: bool = False,
    keep_truncated_shape: bool = False,
    weights: str | Path = DEFAULT_WEIGHTS,
    engine: str = DEFAULT_ENGINE,
    precision: str = DEFAULT_PRECISION,
    looks: int | None = None,
    uncertainty: int = 0,
    allow_code: bool = False,
    table: TableFormat = PLAIN_CSV,
    pictures: bool = True,
    only: Sequence[str] | None = None,
    options: RunOptions = HERE,
    report: Callable[[CaseResult], None] = ignore,
    started: Callable[[Mapping[str, Any]], None] = ignore,
    watch: Callable[[RunProgress], None] = ignore,
    words: Callable[[str], str] = str,
    early: EarlyWorker | None = None,
) -> list[CaseResult]:
    """Segment, compute features, and write ``out/masks`` and ``out/features.csv``.

    A case that has a mask keeps it. After an interruption, the same call processes only scans that
    are new, changed or failed.

    Args:
        cohort: a manifest, a folder of scans or one scan, by its path; or cases.
        out: output folder, made if need be.
        masks: folder of given masks named ``<id>.nii.gz``, or one mask for one scan; for cohorts
            given by a path.
        label: label of the region in given masks; by default the only one, or 1 and 2.
        regions: name → expression of each region that gets a row, such as ``{"tumour": "2"}``.
        settings: a preset's name, a pyradiomics parameter file, or loaded settings.
        keep_failed: compute features also of regions that fail the verdict.
        keep_truncated_shape: keep the shape of regions that the scan's edge cuts off, in masks that
            a person drew.
        weights: a shipped name or a checkpoint file.
        engine: what runs the network: ``auto``, ``torch``, ``openvino`` or ``cuda``.
        precision: precision of the network's arithmetic: ``fp32``, ``bf16`` where the hardware has
            it, or ``int8`` in OpenVINO, if the weights hold ranges of activations.
        looks: 1, or 2 for a second look at full resolution; by default as many as the weights have
            networks for.
        uncertainty: passes of the network with dropout, whose masks are compared; 0 for none. Of
            two looks, these are passes of the first.
        allow_code: accept weights of a network outside pancseg, whose code then runs.
        table: format of the table.
        pictures: make the pictures of every row that :func:`pancseg.write_report` shows.
        only: ids of the patients or scans to process, as in the table; all others keep the rows
            that an earlier run into ``out`` gave them, without a look at their scans.
        options: where and how the scans are processed.
        report: called with each result as soon as it is available, but not with kept rows.
        started: called with the weights and the engine, before the first scan.
        watch: called with the progress when a scan reaches a stage, and when it is done.
        words: turns a message that names parameters in backticks into the caller's words, for the
            table's ``qc_message``.
        early: a worker process that was started before the cohort was read, as the command line
            does.

    Returns:
        One result per row.

    Raises:
        CohortError, RunRefused, OSError, RunStopped: as for :func:`segment_cohort`.
        ValueError: as for :func:`extract_cohort`.

    Example:
        >>> from pancseg import run_cohort
        >>> (result,) = run_cohort("cohort.csv", "results", weights="monet_phantom")
        >>> result.status, result.fact
        ('warn', 'slices are 5 mm apart (expected at most 3 mm)')
    """
    cases = with_regions(cases_of(cohort, out, masks), label, regions)
    plan = ProcessingPlan(
        "run",
        as_feature_settings(settings),
        str(weights),
        engine,
        precision,
        keep_failed=keep_failed,
        keep_truncated_shape=keep_truncated_shape,
        looks=looks,
        uncertainty=uncertainty,
        allow_code=allow_code,
        pictures=pictures,
    )
    _check_format(table)
    return run_plan(
        cases, Path(out), plan, report, options, table, only=only, started=started, watch=watch,
        words=words, early=early,
    )  # fmt: skip


def cases_of(
    cohort: Cohort,
    out: str | os.PathLike[str] | None,
    masks: str | os.PathLike[str] | None = None,
) -> list[Case]:
    """Return the cases of a cohort that a caller gave; ``out`` is not part of it.

    Raises:
        CohortError, ValueError, TypeError: it is not a cohort, or has problems.
    """
    if isinstance(cohort, str | os.PathLike):
        beside = Path(masks) if masks is not None else None
        return read_cohort(Path(cohort), beside, leave_out=[Path(out)] if out else [])
    cases = [cohort] if isinstance(cohort, Case) else list(cohort or [])
    if cohort is not None and not cases:
        raise ValueError("the cohort has no case")
    if not cases or not all(isinstance(case, Case) for case in cases):
        kind = type(cohort).__name__
        raise TypeError(f"{kind} is not a cohort; give a path, or a list of pancseg.Case")
    if masks is not None:
        raise ValueError(
            "`masks` cannot be combined with a sequence of cases; set each case's mask instead"
        )
    return checked(cases)


def with_regions(
    cases: list[Case], label: int | str | None, regions: Mapping[str, str] | None
) -> list[Case]:
    """Return the cases with the regions that a caller named.

    Raises:
        ValueError, TypeError: both ``label`` and ``regions``, or an invalid one.
    """
    if label is not None and regions:
        raise ValueError("`label` and `regions` both name regions; omit one of them")
    if regions is not None and not isinstance(regions, Mapping):
        raise TypeError("`regions` is a mapping of names to expressions, such as {'tumour': '2'}")
    if regions:
        named = named_regions(f"{name}={text}" for name, text in regions.items())
        return one_per_region(cases, named)
    return cases if label is None else with_label(cases, label)


def _check_format(table: TableFormat) -> None:
    if not isinstance(table, TableFormat):
        raise TypeError(f"`table` is a pancseg.TableFormat, not {type(table).__name__}")
