"""The command that applies a fitted model to new patients: predict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.model_options import MODEL_PACKAGES, FeatureTable, Id, OutcomeId
from pancseg.cli.options import Printing, option


def predict(
    *,
    fitted: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `pancseg model` wrote.")
    ],
    features: FeatureTable,
    outcome: Annotated[
        Path | None,
        option(
            "Input",
            metavar="CLINICAL",
            help="CSV with clinical variables and, for external validation, outcomes.",
        ),
    ] = None,
    id_column: Id = None,
    outcome_id: OutcomeId = None,
    group: Annotated[
        str | None,
        option("Input", metavar="COLUMN", help="Column of the patient, if one has several rows."),
    ] = None,
    positive: Annotated[
        str | None,
        option(
            "Input",
            metavar="VALUE",
            help="The class to predict against the rest; default: the model's.",
        ),
    ] = None,
    event_is: Annotated[
        str | None,
        option("Input", metavar="VALUE", help="The value that means event; default: the model's."),
    ] = None,
    roi: Annotated[
        str | None, option("Regions", "--roi", help="Name of the region; default: the model's.")
    ] = None,
    out: Annotated[Path, option("Output", "--out", "-o", help="CSV of predictions to write.")],
    printing: Printing,
) -> None:
    """Apply a fitted model to new patients, and validate it if their outcomes are given.

    OUT is a CSV with a row for every id of FEATURES and one column per model.
    The validation is written to <OUT>_validation.csv, its report to <OUT>_report.
    The exit code is 1 if the outcomes cannot validate the model, for example
    with one class only.
    """

    def tell(line: str) -> None:
        if not printing.quiet:
            say(line, sys.stdout)

    with usage_errors(printing.verbose):
        need("model", MODEL_PACKAGES, "model")
        from pancseg.modelling.apply import predict as apply

        found = apply(
            fitted,
            features,
            outcome,
            out,
            id_column=id_column,
            outcome_id=outcome_id,
            group=group,
            roi=roi,
            positive=positive,
            event_is=event_is,
            report=tell,
        )
    for line in found.doubts:
        say(line, sys.stderr)
    if found.not_judged:
        say(f"pancseg: {found.not_judged}", sys.stderr)
        raise typer.Exit(1)
    for line in found.lines:
        tell(line)
