"""The command that makes a run's page anew: report."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import Verbose
from pancseg.cli.parameters import with_options

OutFolder = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="Output folder of a run.", show_default=False),
]


def report(*, out: OutFolder, verbose: Verbose = False) -> None:
    """Make the page OUT/report/index.html anew, from the table and the pictures in OUT."""
    with usage_errors(verbose):
        if not out.is_dir():
            raise ValueError("the output folder does not exist; give the folder of a run's output")
        with output_errors():
            tell_page(out, quiet=False)


def import_page() -> None:
    """Import what the page needs, half a second's work, before the page is made."""
    with suppress(Exception):  # if it fails, it fails again when the page is made
        import pandas  # noqa: F401  0.4 s, as long as all others

        import pancseg.features.ibsi.compute
        import pancseg.report.page  # noqa: F401


def tell_page(out: Path, quiet: bool) -> None:
    """Write the page, with options where texts of the library name parameters, and say where."""
    from pancseg.report.page import PAGE, write_report

    write_report(out, lambda text: with_options(text, shown="`{}`"))
    if not quiet:
        say(f"page: {PAGE.as_posix()} in the output folder", sys.stdout)
