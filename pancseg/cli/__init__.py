"""The command line: parse, load settings, one library call, a summary, an exit code.

One file per group of commands. Exit codes: 0 all well, 1 some patient is not usable, 2 usage. Heavy
libraries are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

import pancseg
from pancseg.cli import benchmark, model
from pancseg.cli.cohort import check, demo, extract, run, segment
from pancseg.cli.evaluate import evaluate
from pancseg.cli.model import predict
from pancseg.cli.selftest import selftest
from pancseg.cli.train import train

app = typer.Typer(
    help="From portal-venous abdominal CT to pancreas masks to a table of radiomics features. "
    "Research software, not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


for command in (check, segment, extract, run, demo, evaluate, train, selftest, predict):
    app.command()(command)
app.add_typer(benchmark.app, name="benchmark")
app.add_typer(model.app, name="model")
