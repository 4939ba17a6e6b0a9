"""The command that checks the installed build: selftest."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import Verbose, option


def selftest(
    ibsi_data: Annotated[
        Path | None,
        option(
            "Input",
            help="Copy of IBSI's data sets (github.com/theibsi/data_sets), to test its CT phantom "
            "too.",
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Compare this build's features with IBSI's reference values.

    The exit code is 1 if a value disagrees or is missing.
    """
    with usage_errors(verbose):
        from pancseg import selftest as proof

        scores = proof.digital_phantom()
        if ibsi_data:
            scores = chain(scores, proof.ct_phantom(ibsi_data))
        agree, compared, cut_off = 0, 0, []
        for found in scores:
            say(f"{found.agree:>4} of {found.compared}  {found.name}", sys.stdout)
            for miss in found.misses:
                say(f"             {miss}", sys.stdout)
            agree, compared = agree + found.agree, compared + found.compared
            cut_off += [found.name] * (found.compared < proof.REFERENCES)
    say(f"{agree:>4} of {compared}  values agree with IBSI's reference values", sys.stdout)
    if cut_off:
        say(
            f"pancseg: {cut_off[0]}: fewer than IBSI's {proof.REFERENCES} values were compared"
            + ("; check that the files of --ibsi-data are complete" if ibsi_data else ""),
            sys.stderr,
        )
    if cut_off or agree < compared:
        raise typer.Exit(1)
