"""The command that lists DICOM series as a manifest: series."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import Printing, option

if TYPE_CHECKING:
    from pancseg.pipeline.series import ListedSeries


def series(
    *,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder of DICOM files at any depth: an export, a disc, a patient, a cohort.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        option(
            "Output",
            "--out",
            "-o",
            metavar="CSV",
            help="Manifest to write: a new .csv file. Without it, the series are only printed.",
        ),
    ] = None,
    printing: Printing,
) -> None:
    """List the DICOM series below FOLDER, and preselect those to measure.

    Of each study, that is the portal-venous axial thin series with a soft-tissue kernel (column
    use). If several fit equally well, none is selected: write yes into one of their lines. The
    manifest then runs as it is.
    """
    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose):
        from pancseg.pipeline.series import check_new_manifest, list_series, write_series

        if out:
            check_new_manifest(out)
        lines = list_series(folder)
        if out:
            with output_errors():
                write_series(out, lines)
    if out is None:
        for line in lines:
            say(_line(line), sys.stdout)
    if not quiet:
        say(_closing(lines, written=out is not None), sys.stdout)


def _line(line: ListedSeries) -> str:
    from pancseg.scans.dicom.located import described

    first = line.facts.first
    kind = "localizer" if first.localizer else first.modality
    what = described(line.facts) if kind == "CT" else kind
    verdict = "use" if line.chosen else f"not used: {line.against}"
    return f"{line.patient_id}, study {line.study}, series {line.series}: {what} ({verdict})"


def _closing(lines: list[ListedSeries], *, written: bool) -> str:
    patients = {line.patient_id for line in lines}
    studies = {(line.patient_id, line.study) for line in lines if line.facts.is_volume}
    decided = {(line.patient_id, line.study) for line in lines if line.chosen}
    text = f"{len(lines)} series, {_count(len(studies), 'study', 'studies')} with a CT of "
    text += f"{_count(len(patients), 'patient', 'patients')}; {len(decided)} preselected"
    if left := len(studies) - len(decided):
        text += f", {_count(left, 'study', 'studies')} left to you (column use)"
    return text if written else f"{text}; --out writes a manifest"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
