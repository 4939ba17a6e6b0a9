"""The commands that fit models, and that plan a study: model subtype, survival and plan."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.flat import flat
from pancseg.cli.model_options import (
    MODEL_PACKAGES,
    ClinicalFile,
    Columns,
    Cores,
    FeatureTable,
    Fitting,
    model_settings,
    table_options,
    times_of,
)
from pancseg.cli.options import Out, Printing, example, option
from pancseg.cli.steps import show_steps

if TYPE_CHECKING:
    from pancseg.modelling.fit import PreparedStudy

app = typer.Typer(
    help="Predict molecular subtype or survival from a table; every step is fitted in the folds.",
    no_args_is_help=True,
)
_PAGE = "how-it-works.md#from-table-to-model"


def subtype(
    *,
    features: FeatureTable,
    outcome: ClinicalFile,
    label: Annotated[str, option("Input", metavar="COLUMN", help="Column of CLINICAL: the class.")],
    positive: Annotated[
        str | None, option("Input", metavar="VALUE", help="The class to predict against the rest.")
    ] = None,
    columns: Columns,
    fitting: Fitting,
    out: Out,
    workers: Cores = None,
    printing: Printing,
) -> None:
    """Fit a model of a class, such as a molecular subtype: what does radiomics add?

    OUT gets a report (Markdown, HTML, Word), out-of-fold predictions, the
    model with its card, settings, and the checklists CLEAR, METRICS and
    TRIPOD+AI, pre-filled. The exit code is 1 if the canaries detect a leak:
    performance where nothing can be predicted.
    """
    with usage_errors(printing.verbose):
        need("model", MODEL_PACKAGES, "model")
        study = _checked(
            out,
            features,
            outcome,
            (label,),
            model_settings(fitting, kind="subtype", positive=positive),
            table_options(columns),
            fitting.stability,
        )
    _analyse(study, out, workers, printing)


def survival(
    *,
    features: FeatureTable,
    outcome: ClinicalFile,
    time: Annotated[
        str, option("Input", metavar="COLUMN", help="Column of CLINICAL: time of follow-up.")
    ],
    event: Annotated[
        str, option("Input", metavar="COLUMN", help="Column of CLINICAL: event or censored.")
    ],
    event_is: Annotated[
        str | None, option("Input", metavar="VALUE", help="The value that means event.")
    ] = None,
    competing: Annotated[
        list[str] | None,
        option("Input", metavar="VALUE", help="A value that means a competing event. Repeatable."),
    ] = None,
    trust_times: Annotated[
        bool,
        option("Input", "--trust-times", help="Accept times that look like a mixture of units."),
    ] = False,
    time_unit: Annotated[
        str | None,
        option("Input", metavar="UNIT", help="What a time of 1 is, such as months."),
    ] = None,
    horizons: Annotated[
        str | None,
        option(
            "Input",
            metavar="TIMES",
            help="Times to report survival for, such as 12,24; default: quartiles of "
            "the event times, those after 0.",
        ),
    ] = None,
    columns: Columns,
    fitting: Fitting,
    out: Out,
    workers: Cores = None,
    printing: Printing,
) -> None:
    """Fit a model of the time to an event, such as death: what does radiomics add?

    OUT gets a report (Markdown, HTML, Word), out-of-fold predictions, the
    model with its card, settings, and the checklists CLEAR, METRICS and
    TRIPOD+AI, pre-filled. The exit code is 1 if the canaries detect a leak:
    performance where nothing can be predicted.
    """
    with usage_errors(printing.verbose):
        need("model", MODEL_PACKAGES, "model")
        study = _checked(
            out,
            features,
            outcome,
            (time, event),
            model_settings(
                fitting,
                kind="survival",
                event_is=event_is,
                competing=tuple(competing or ()),
                trust_times=trust_times,
                time_unit=time_unit,
                horizons=times_of(horizons),
            ),
            table_options(columns),
            fitting.stability,
        )
    _analyse(study, out, workers, printing)


def plan(
    *,
    share: Annotated[
        float | None, option("Input", help="Expected share of the class, 0 to 1.")
    ] = None,
    rate: Annotated[
        float | None, option("Input", help="Expected events per unit of time, such as a month.")
    ] = None,
    horizon: Annotated[
        float | None, option("Input", help="Time that risk is predicted for.")
    ] = None,
    follow_up: Annotated[
        float | None, option("Input", help="Expected mean follow-up, in the same unit.")
    ] = None,
    parameters: Annotated[
        int,
        option("Model", min=1, help="Candidate parameters, before any selection of features."),
    ],
    c_statistic: Annotated[
        float | None, option("Model", help="Expected AUC or C; from an earlier study.")
    ] = None,
    r_squared: Annotated[
        float | None,
        option("Model", help="Or expected R² of Cox and Snell; default: Nagelkerke's R² is 0.15."),
    ] = None,
    patients: Annotated[
        int | None, option("Model", min=1, help="Patients there are: how many parameters?")
    ] = None,
    printing: Printing,
) -> None:
    """Say how many patients a model needs, before the study (Riley's criteria).

    For a class give --share; for survival --rate, --horizon and --follow-up.
    Every feature that a selection may choose is a candidate parameter.
    """
    with usage_errors(printing.verbose):
        from pancseg.modelling.sample_size import needed_lines

        lines = needed_lines(
            parameters,
            share=share,
            rate=rate,
            horizon=horizon,
            follow_up=follow_up,
            r_squared=r_squared,
            c_statistic=c_statistic,
            patients=patients,
        )
    for line in lines:
        say(line, sys.stdout)


_COMMANDS = (
    (plan, "pancseg model plan --parameters 10 --share 0.3 --c-statistic 0.75"),
    (
        subtype,
        "pancseg model subtype features.csv --outcome clinical.csv --label grade --out model",
    ),
    (
        survival,
        "pancseg model survival features.csv --outcome clinical.csv --time months --event died "
        "--out survival",
    ),
)
for command, line in _COMMANDS:
    app.command(epilog=example(line, _PAGE))(flat(command))


def _checked(out: Path, *tables: Any) -> PreparedStudy:
    """Check output folder and tables (:func:`.check_tables`), plan the study, claim the folder.

    Only the plan imports what fits models, so that most mistakes are told at once.
    """
    from pancseg.modelling.checked_tables import check_tables
    from pancseg.system.output_folder import check_output_folder, claim

    check_output_folder(out)
    if out.exists():  # otherwise it is made last, so that a refused command leaves none
        claim(out)
    found = check_tables(*tables)
    from pancseg.modelling.fit import plan_study

    study = plan_study(found)
    claim(out)
    return study


def _analyse(study: PreparedStudy, out: Path, workers: int | None, printing: Printing) -> None:
    quiet = printing.quiet
    with usage_errors(printing.verbose):
        for line in [] if quiet else study.joined.notes:
            say(line, sys.stdout)
        for line in study.warnings:
            say(f"warning: {line}", sys.stderr)
        so_far, steps = "nothing was written", study.steps

        def without_measures() -> None:
            nonlocal steps
            steps = study.steps_after_a_leak

        with show_steps(lambda: steps, quiet, "steps", lambda: so_far) as tell:
            results = study.analyse(workers, tell, without_measures)
            so_far = "the report may be incomplete; run again"
            tell("writing the report", done=False)
            study.write(out, results)
            tell("report written")
    if results.leaks:
        say(
            "pancseg: the canaries detected a leak, so no performance is shown; see the report",
            sys.stderr,
        )
        raise typer.Exit(1)
    if not quiet:
        say("\n".join([*results.verdict, "report in report.md"]), sys.stdout)
