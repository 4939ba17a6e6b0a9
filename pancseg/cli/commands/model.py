"""The commands from the table to subtype and survival: model subtype, model survival, predict."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancseg.cli.console import progress_lines, say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.flat import flat
from pancseg.cli.options import (
    Out,
    Printing,
    example,
    option,
)

if TYPE_CHECKING:
    from pancseg.modelling.fit import PreparedStudy
    from pancseg.modelling.inputs.features_table import TableOptions
    from pancseg.modelling.study import ModelSettings

app = typer.Typer(
    help="From the table to molecular subtype or survival, everything fitted within the fold.",
    no_args_is_help=True,
)
_PACKAGES = ("dcurves", "matplotlib", "skops")
_PAGE = "how-it-works.md#from-table-to-model"


def _can_sing(runs: int) -> int:
    if runs in (1, 2):
        raise typer.BadParameter(f"{runs} are too few to find a leak; take 3 or more, or 0")
    return runs


FeatureTable = Annotated[
    Path,
    typer.Argument(
        metavar="FEATURES", help="pancseg's table, or any CSV or Parquet with an id column."
    ),
]
ClinicalFile = Annotated[
    Path,
    option("Input", "--outcome", metavar="CLINICAL", help="CSV with the outcome, by id."),
]
Id = Annotated[
    str | None,
    option("Input", "--id", help="Id column of FEATURES; default: patient_id, else the first."),
]
Cores = Annotated[
    int | None,
    option("Running", "--workers", min=1, help="Processes; default: as many as cores."),
]
OutcomeId = Annotated[
    str | None,
    option("Input", help="Id column of CLINICAL; default: the same name, else the first."),
]


@dataclass(frozen=True)
class Columns:
    """How the tables are read, and which columns are what."""

    id_column: Id = None
    outcome_id: OutcomeId = None
    group: Annotated[
        str | None,
        option("Input", metavar="COLUMN", help="Rows with equal values stay in one fold."),
    ] = None
    exclude_warn: Annotated[
        bool,
        option("Input", "--exclude-warn", help="Leave out rows with qc_status warn too."),
    ] = False
    roi: Annotated[
        str | None, option("Regions", "--roi", help="The region, where there are several.")
    ] = None
    batch: Annotated[
        str | None,
        option("Features", metavar="COLUMN", help="Scanner or site, for ComBat in the folds."),
    ] = None
    volume: Annotated[
        str | None,
        option(
            "Features",
            metavar="COLUMN",
            help="The volume; default: the first column with a known name.",
        ),
    ] = None
    clinical: Annotated[
        list[str] | None,
        option("Features", metavar="COLUMN", help="A clinical variable; once for each."),
    ] = None
    drop: Annotated[
        list[str] | None,
        option("Features", metavar="COLUMN", help="A column that is no feature; once for each."),
    ] = None


@dataclass(frozen=True)
class Fitting:
    """What is fitted, and how it is judged."""

    stability: Annotated[
        Path | None,
        option(
            "Features",
            metavar="FILE",
            help="CSV with feature and icc: of correlated features the most stable one stays.",
        ),
    ] = None
    model: Annotated[
        str,
        option("Model", "--model", help="The algorithm that is declared beforehand and saved."),
    ] = "elastic-net"
    repeats: Annotated[
        int,
        option("Model", min=1, max=100, help="Repeats of the nested cross-validation."),
    ] = 5
    folds: Annotated[int, option("Model", min=3, max=20, help="Outer folds.")] = 5
    inner_folds: Annotated[int, option("Model", min=2, max=20, help="Inner folds.")] = 5
    canary: Annotated[
        int,
        option(
            "Model",
            min=0,
            max=1000,
            callback=_can_sing,
            help="Runs on permuted outcomes and on noise, 3 or more; 0: none.",
        ),
    ] = 8
    seed: Annotated[
        int, option("Model", min=0, help="Random seed of folds, models, bootstrap and canary.")
    ] = 0


def subtype(
    *,
    features: FeatureTable,
    outcome: ClinicalFile,
    label: Annotated[str, option("Input", metavar="COLUMN", help="The class in CLINICAL.")],
    positive: Annotated[
        str | None, option("Input", metavar="VALUE", help="The class to tell from the rest.")
    ] = None,
    columns: Columns,
    fitting: Fitting,
    out: Out,
    workers: Cores = None,
    printing: Printing,
) -> None:
    """Predict a class from features: what does radiomics add?

    OUT gets a report (Markdown, HTML), out-of-fold predictions, the model,
    settings and a pre-filled CLEAR checklist. Exit code 1 when the leakage
    canary finds something where nothing is.
    """
    with usage_errors(printing.verbose):
        need("model", _PACKAGES, "model")
        from pancseg.modelling.fit import prepare_study

        study = prepare_study(
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
    time: Annotated[str, option("Input", metavar="COLUMN", help="Follow-up in CLINICAL.")],
    event: Annotated[
        str, option("Input", metavar="COLUMN", help="Event or censored, in CLINICAL.")
    ],
    event_is: Annotated[
        str | None, option("Input", metavar="VALUE", help="The value that means event.")
    ] = None,
    trust_times: Annotated[
        bool,
        option(
            "Input", "--trust-times", help="All times are in one unit, though they do not look it."
        ),
    ] = False,
    columns: Columns,
    fitting: Fitting,
    out: Out,
    workers: Cores = None,
    printing: Printing,
) -> None:
    """Predict time to an event from features: what does radiomics add?

    OUT gets a report (Markdown, HTML), out-of-fold predictions, the model,
    settings and a pre-filled CLEAR checklist. Exit code 1 when the leakage
    canary finds something where nothing is.
    """
    with usage_errors(printing.verbose):
        need("model", _PACKAGES, "model")
        from pancseg.modelling.fit import prepare_study

        study = prepare_study(
            features,
            outcome,
            (time, event),
            _settings(fitting, kind="survival", event_is=event_is, trust_times=trust_times),
            _options(columns),
            fitting.stability,
        )
    _analyse(study, out, workers, printing)


_COMMANDS = (
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
            help="Clinical variables; with outcomes: external validation.",
        ),
    ] = None,
    id_column: Id = None,
    outcome_id: OutcomeId = None,
    group: Annotated[
        str | None,
        option("Input", metavar="COLUMN", help="The patient, where one has several rows."),
    ] = None,
    positive: Annotated[
        str | None,
        option(
            "Input",
            metavar="VALUE",
            help="The class to tell from all others; default: the model's.",
        ),
    ] = None,
    event_is: Annotated[
        str | None,
        option("Input", metavar="VALUE", help="The value that means event; default: the model's."),
    ] = None,
    roi: Annotated[
        str | None, option("Regions", "--roi", help="The region; default: the model's.")
    ] = None,
    trust_model: Annotated[
        bool,
        option("Model", "--trust-model", help="Load forests too; only from somebody you trust."),
    ] = False,
    out: Annotated[Path, option("Output", "--out", "-o", help="CSV of predictions to write.")],
    printing: Printing,
) -> None:
    """Apply a fitted model to new patients; with their outcomes, judge it.

    OUT is a CSV with a row for every id of FEATURES and one column per model;
    how the model did goes to <OUT>_validation.csv. Exit code 1 when outcomes are
    known that cannot judge it, such as one class only.
    """

    def tell(line: str) -> None:
        if not printing.quiet:
            say(line, sys.stdout)

    with usage_errors(printing.verbose):
        need("model", _PACKAGES, "model")
        from pancseg.modelling.apply import predict as apply
        from pancseg.modelling.saved_model import load_model

        found = apply(
            load_model(fitted, trust_model=trust_model),
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


def _options(columns: Columns) -> TableOptions:
    from pancseg.modelling.inputs.features_table import TableOptions

    given = vars(columns) | {
        "clinical": tuple(dict.fromkeys(columns.clinical or ())),
        "drop": tuple(columns.drop or ()),
    }
    return TableOptions(**given)


def _settings(fitting: Fitting, **endpoint: Any) -> ModelSettings:
    from pancseg.modelling.study import ModelSettings

    return ModelSettings(
        **endpoint,
        model=fitting.model,
        outer=fitting.folds,
        inner=fitting.inner_folds,
        repeats=fitting.repeats,
        canary=fitting.canary,
        seed=fitting.seed,
    )


def _analyse(study: PreparedStudy, out: Path, workers: int | None, printing: Printing) -> None:
    quiet = printing.quiet
    with usage_errors(printing.verbose):
        from pancseg.modelling.analysis import steps_of
        from pancseg.system.whole_files import check_writable

        check_writable(out)
        for line in [] if quiet else study.joined.notes:
            say(line, sys.stdout)
        for line in study.warnings:
            say(f"warning: {line}", sys.stderr)
        steps = steps_of(study.settings)
        with progress_lines(steps, quiet, "folds", "nothing was written") as tell:
            results = study.analyse(workers, _telling(tell))
        study.write(out, results)
    if results.leaks:
        say("pancseg: the canary found a leak; no performance is shown, see the report", sys.stderr)
        raise typer.Exit(1)
    if not quiet:
        say("\n".join([*results.verdict, f"report in {out / 'report.md'}"]), sys.stdout)


def _telling(tell: Callable[[str, bool], None]) -> Callable[[str], None]:
    return lambda line: tell(line, False)
