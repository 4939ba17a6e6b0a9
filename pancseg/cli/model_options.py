"""Options of the commands that fit and apply models, and the library's settings from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancseg.cli.options import option

if TYPE_CHECKING:
    from pancseg.modelling.inputs.features_table import TableOptions
    from pancseg.modelling.settings import ModelSettings

MODEL_PACKAGES = ("joblib", "matplotlib", "docx")
"""Packages of the extra ``model`` that commands look for before they begin."""

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
OutcomeId = Annotated[
    str | None,
    option("Input", help="Id column of CLINICAL; default: the same name or else the first."),
]
Cores = Annotated[
    int | None,
    option("Running", "--workers", min=1, help="Number of processes; default: one per core."),
]


def _enough_canaries(runs: int) -> int:
    if runs in (1, 2):
        raise typer.BadParameter(f"{runs} are too few to find a leak; use 3 or more, or 0")
    return runs


def _imputations_that_help(count: int) -> int:
    from pancseg.modelling.settings import MOST_IMPUTATIONS, imputations_message

    if not 1 <= count <= MOST_IMPUTATIONS:
        raise typer.BadParameter(imputations_message(count))
    return count


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


def table_options(columns: Columns) -> TableOptions:
    """Return how the tables are to be read."""
    from pancseg.modelling.inputs.features_table import TableOptions

    given = vars(columns) | {
        "clinical": tuple(dict.fromkeys(columns.clinical or ())),
        "drop": tuple(columns.drop or ()),
    }
    return TableOptions(**given)


def model_settings(fitting: Fitting, **endpoint: Any) -> ModelSettings:
    """Return the choices made beforehand; ``endpoint`` has those on the outcome."""
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


def times_of(text: str | None) -> tuple[float, ...]:
    """Return the times that commas separate; none for None.

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
