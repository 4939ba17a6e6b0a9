"""The command line. Each command parses options, calls the library once and prints a summary.

There is one file per group of commands. Exit codes are 0 if all is well, 1 if some patient is not
usable, 2 if the command cannot be run as given or the machine lacks something, and 3 if pancseg
itself fails. Heavy libraries are imported inside the commands, so that ``--help`` answers at once.
The library's messages name parameters; ``parameters.py`` replaces them by options.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pancseg.cli.commands import benchmark, model, weights
from pancseg.cli.commands.cohort import check, demo, extract, run, segment
from pancseg.cli.commands.evaluate import evaluate
from pancseg.cli.commands.export import export
from pancseg.cli.commands.labels import labels
from pancseg.cli.commands.predict import predict
from pancseg.cli.commands.report import report
from pancseg.cli.commands.review import accept, reject
from pancseg.cli.commands.selftest import selftest
from pancseg.cli.commands.series import series
from pancseg.cli.commands.train import train
from pancseg.cli.commands.view import view
from pancseg.cli.console import end_of
from pancseg.cli.failures import Commands
from pancseg.cli.flat import flat
from pancseg.cli.options import example
from pancseg.system.version import __version__


class _App(typer.Typer):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, whatever becomes of standard output."""
        end_of(lambda: super(_App, self).__call__(*args, **kwargs))


app = _App(
    cls=Commands,
    help="From portal-venous abdominal CT to pancreas masks to a table of radiomics features. "
    "Research software, not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pancseg {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


_COMMANDS = (
    (series, "pancseg series export --out manifest.csv", "how-it-works.md#the-cohort"),
    (check, "pancseg check cohort.csv --masks masks", "how-it-works.md#the-verdict"),
    (segment, "pancseg segment cohort.csv --out results", "how-it-works.md#from-scan-to-mask"),
    (
        extract,
        "pancseg extract cohort.csv --masks labels --roi tumour=2 --out features",
        "how-it-works.md#from-mask-to-row",
    ),
    (run, "pancseg run cohort.csv --out results --workers 4", "how-it-works.md#a-run"),
    (labels, "pancseg labels P1.seg.nrrd", "how-it-works.md#from-mask-to-row"),
    (report, "pancseg report results", "how-it-works.md#the-page"),
    (view, "pancseg view results", "how-it-works.md#the-viewer"),
    (
        export,
        "pancseg export results --to dicom-seg,dicom-sr",
        "how-to/back-to-pacs.md#send-masks-and-measurements-back",
    ),
    (demo, "pancseg demo --patients 8 --out pancseg-demo", "how-it-works.md#the-commands"),
    (
        accept,
        "pancseg accept results P7 P12 --reason 'atrophy, mask is right' --by KM",
        "how-it-works.md#the-verdict",
    ),
    (
        reject,
        "pancseg reject results P9 --reason 'mask lies on the stomach' --by KM",
        "how-it-works.md#the-verdict",
    ),
    (
        evaluate,
        "pancseg evaluate --prediction MoNet=results/masks --reference truth --out quality",
        "how-it-works.md#how-good-are-the-masks",
    ),
    (
        train,
        "pancseg train monet_paper --data Task07_Pancreas --out runs/monet",
        "how-it-works.md#training",
    ),
    (selftest, "pancseg selftest --ibsi-data data_sets", "how-it-works.md#from-mask-to-row"),
    (
        predict,
        "pancseg predict survival new/features.csv --outcome new/clinical.csv --out new.csv",
        "how-it-works.md#from-table-to-model",
    ),
)
for command, line, page in _COMMANDS:
    app.command(epilog=example(line, page))(flat(command))
app.add_typer(model.app, name="model")
app.add_typer(weights.app, name="weights")
app.add_typer(benchmark.app, name="benchmark")
