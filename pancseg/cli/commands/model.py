"""The commands that fit and apply models: model subtype, model survival, predict."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.flat import flat
from pancseg.cli.options import (
    Out,
    Printing,
    example,
    option,
)
from pancseg.cli.steps import show_steps

if TYPE_CHECKING:
    from pancseg.modelling.fit import PreparedStudy
    from pancseg.modelling.inputs.features_table import TableOptions
    from pancseg.modelling.settings import ModelSettings

app = typer.Typer(
    help="Predict molecular subtype or survival from a table; every step is fitted in the folds.",
    no_args_is_help=True,
)
_PACKAGES = ("joblib", "matplotlib", "docx")
_PAGE = "how-it-works.md#from-table-to-model"


def _enough_canaries(runs: int) -> int:
    if runs in (1, 2):
        raise typer.BadParameter(f"{runs} are too few to find a leak; use 3 or more, or 0")
    return runs


def _imputations_that_help(count: int) -> int:
    from pancseg.modelling.settings import MOST_IMPUTATIONS, imputations_message

    if not 1 <= count <= MOST_IMPUTATIONS:
        raise typer.BadParameter(imputations_message(count))
    return count


FeatureTable = Annotated[
    Path,
    typer.Argument(
        metavar="FEATURES", help="pancseg's table, or any CSV or Parquet file with an id column."
    ),
]
ClinicalFile = Annotated[
    Path,
    option("Input", "--outcome", metavar="CLINICAL", help="CSV with the outcome of each id."),
]
Id = Annotated[
    str | None,
    option("Input", "--id", help="Id column of FEATURES; default: patient_id or else the first."),
]
Cores = Annotated[
    int | None,
    option("Running", "--workers", min=1, help="Number of processes; default: one per core."),
]
OutcomeId = Annotated[
    str | None,
    option("Input", help="Id column of CLINICAL; default: the same name or else the first."),
]


@dataclass(frozen=True)
class Columns:
    """Which columns of the tables have which role."""

    id_column: Id = None
    outcome_id: OutcomeId = None
    group: Annotated[
        str | None,
        option("Input", metavar="COLUMN", help="Column whose equal values stay in one fold."),
    ] = None
    exclude_warn: Annotated[
        bool,
        option("Input", "--exclude-warn", help="Leave out rows whose qc_status is warn, too."),
    ] = False
    roi: Annotated[
        str | None, option("Regions", "--roi", help="Name of the region, if there are several.")
    ] = None
    batch: Annotated[
        str | None,
        option("Features", metavar="COLUMN", help="Column of scanner or site, for ComBat."),
    ] = None
    volume: Annotated[
        str | None,
        option(
            "Features",
            metavar="COLUMN",
            help="Column of the volume; default: the first with a known name.",
        ),
    ] = None
    clinical: Annotated[
        list[str] | None,
        option("Features", metavar="COLUMN", help="A clinical variable. May be repeated."),
    ] = None
    drop: Annotated[
        list[str] | None,
        option("Features", metavar="COLUMN", help="A column to ignore. May be repeated."),
    ] = None


@dataclass(frozen=True)
class Fitting:
    """What is fitted, and how it is validated."""

    stability: Annotated[
        Path | None,
        option(
            "Features",
            metavar="FILE",
            help="CSV with columns feature and icc; the most stable of correlated features stays.",
        ),
    ] = None
    model: Annotated[
        str,
        option("Model", "--model", help="Algorithm of the primary model, which is saved."),
    ] = "elastic-net"
    imputations: Annotated[
        int,
        option(
            "Model",
            metavar="M",
            callback=_imputations_that_help,
            help="Tables in which missing numbers are imputed, such as 10; 1: medians instead.",
        ),
    ] = 1
    repeats: Annotated[
        int,
        option("Model", min=1, max=100, help="Repeats of the nested cross-validation."),
    ] = 5
    folds: Annotated[int, option("Model", min=3, max=20, help="Outer folds.")] = 5
    subgroup: Annotated[
        list[str] | None,
        option("Model", metavar="COLUMN", help="Report its values as subgroups. May be repeated."),
    ] = None
    leave_out: Annotated[
        str | None,
        option("Model", metavar="COLUMN", help="Leave each site out in turn, and judge it there."),
    ] = None
    inner_folds: Annotated[int, option("Model", min=2, max=20, help="Inner folds.")] = 5
    canary: Annotated[
        int,
        option(
            "Model",
            min=0,
            max=1000,
            callback=_enough_canaries,
            help="Runs on permuted outcomes and on noise, 3 or more, to detect leaks; 0: none.",
        ),
    ] = 8
    seed: Annotated[
        int,
        option("Model", min=0, help="Random seed of folds, models, draws, bootstrap and canaries."),
    ] = 0


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
        need("model", _PACKAGES, "model")
        study = _checked(
            out,
            features,
            outcome,
            (label,),
            _settings(fitting, kind="subtype", positive=positive),
            _options(columns),
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
        need("model", _PACKAGES, "model")
        study = _checked(
            out,
            features,
            outcome,
            (time, event),
            _settings(
                fitting,
                kind="survival",
                event_is=event_is,
                competing=tuple(competing or ()),
                trust_times=trust_times,
                time_unit=time_unit,
                horizons=_times(horizons),
            ),
            _options(columns),
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
        need("model", _PACKAGES, "model")
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


def _times(text: str | None) -> tuple[float, ...]:
    """Return numbers that commas separate.

    Raises:
        ValueError: a part is not a number above 0.
    """
    if text is None:
        return ()
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < time < float("inf") for time in found):
        raise ValueError(f"`horizons`: {text!r} is no list of times above 0; write 12,24")
    return found


def _options(columns: Columns) -> TableOptions:
    from pancseg.modelling.inputs.features_table import TableOptions

    given = vars(columns) | {
        "clinical": tuple(dict.fromkeys(columns.clinical or ())),
        "drop": tuple(columns.drop or ()),
    }
    return TableOptions(**given)


def _settings(fitting: Fitting, **endpoint: Any) -> ModelSettings:
    from pancseg.modelling.settings import ModelSettings

    return ModelSettings(
        **endpoint,
        model=fitting.model,
        leave_out=fitting.leave_out,
        subgroups=tuple(dict.fromkeys(fitting.subgroup or ())),
        imputations=fitting.imputations,
        outer=fitting.folds,
        inner=fitting.inner_folds,
        repeats=fitting.repeats,
        canary=fitting.canary,
        seed=fitting.seed,
    )


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
