"""The command that writes masks and measurements for other programs: export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import Masks, Printing, Privacy, option
from pancseg.cli.parameters import with_options
from pancseg.cli.pseudonyms import read_cases

if TYPE_CHECKING:
    from pancseg.export.export import ExportAccount


def export(
    *,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Output folder of a run.", show_default=False)
    ],
    cohort: Annotated[
        Path | None,
        option(
            "Input",
            metavar="COHORT",
            help="The cohort again, where its scans have moved; default: where the run found them.",
        ),
    ] = None,
    masks: Masks = None,
    to: Annotated[
        str,
        option(
            "Output",
            metavar="TARGET,…",
            help="What to write: dicom-seg, dicom-sr (with dicom-seg), rtstruct, bids, slicer.",
            show_default=False,
        ),
    ],
    printing: Printing,
    pseudonymise: Annotated[
        Path | None,
        option(
            "Privacy",
            metavar="KEYFILE",
            help="With --cohort: the key of the run, where the ids in OUT are pseudonyms.",
        ),
    ] = None,
    with_identity: Annotated[
        bool,
        option(
            "Privacy",
            "--with-identity",
            help="Write DICOM, which names patients, although the ids in OUT are pseudonyms.",
        ),
    ] = False,
) -> None:
    """Write the masks and measurements of usable rows to OUT/export, for PACS, Slicer and others.

    DICOM objects take patient and study from the source series; nothing else does.
    """
    with usage_errors(printing.verbose):
        if not out.is_dir():
            raise ValueError("the output folder does not exist; give the folder of a run's output")
        for name, given in (("--masks", masks), ("--pseudonymise", pseudonymise)):
            if given and not cohort:
                raise ValueError(f"{name} needs --cohort; give both or neither")
        from pancseg.export.export import export_output

        targets = [name.strip() for name in to.split(",") if name.strip()]
        cases = read_cases(cohort, out, masks, Privacy(pseudonymise)) if cohort else None
        with output_errors():
            account = export_output(out, targets, cases, with_identity=with_identity)
    for line in account.problems:
        say(f"pancseg: {with_options(line)}", sys.stderr)
    if not printing.quiet:
        say(_closing(account), sys.stdout)
    if account.problems:
        raise typer.Exit(1)


def _closing(account: ExportAccount) -> str:
    counts = [
        f"{target} of {count} scan{'' if count == 1 else 's'}"
        for target, count in account.written.items()
        if count
    ]
    text = f"{', '.join(counts)}: in OUT/export" if counts else "nothing was exported"
    if left := account.left_out:
        rows = "one row that is" if left == 1 else f"{left} rows that are"
        text += f"; {rows} not usable left out"
    return text
