"""The command that lists what is in mask files: labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import Verbose
from pancseg.cli.parameters import with_options

_MOST_LISTED = 200

MaskFiles = Annotated[
    list[Path],
    typer.Argument(metavar="MASK", help="Mask files.", show_default=False),
]


def labels(*, masks: MaskFiles, verbose: Verbose = False) -> None:
    """List the labels or segments of mask files: number, layer, size and name.

    The last line of each file says what is taken without --label and --roi.
    """
    from pancseg.errors import UnusableCase

    failed = False
    with usage_errors(verbose):
        from pancseg.features.mask_labels import mask_labels, table_of

        with output_errors():
            for number, path in enumerate(masks):
                try:
                    found = mask_labels(path)
                except UnusableCase as unusable:
                    say(f"pancseg: {path}: {with_options(unusable.fact)}", sys.stderr)
                    failed = True
                    continue
                say(f"{chr(10) * (number > 0)}{path}", sys.stdout)
                for line in table_of(found.labels[:_MOST_LISTED]):
                    say(f"  {line}", sys.stdout)
                if (more := len(found.labels) - _MOST_LISTED) > 0:
                    say(f"  … and {more:,} more", sys.stdout)
                taken = found.taken or f"refused ({with_options(found.refused)})"
                say(f"  without --label or --roi: {taken}", sys.stdout)
    if failed:
        raise typer.Exit(1)
