"""The commands from the table to subtype and survival: model subtype, model survival, predict."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.console import progress_lines, say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.options import Out, Quiet, Verbose

if TYPE_CHECKING:
    from pancseg.modelling.inputs.features_table import TableOptions
    from pancseg.modelling.inputs.join import JoinedTable
    from pancseg.modelling.study import Endpoint, ModelSettings

app = typer.Typer(
    help="From the table to molecular subtype or survival, everything fitted within the fold.",
    no_args_is_help=True,
)
_PACKAGES = ("dcurves", "matplotlib", "skops")


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
    Path, typer.Option("--outcome", metavar="CLINICAL", help="CSV with the outcome, by id.")
]
Id = Annotated[str | None, typer.Option("--id", help="Id column of FEATURES.")]
OutcomeId = Annotated[str | None, typer.Option(help="Id column of CLINICAL.")]
Clinical = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="A clinical variable; once for each."),
]
Batch = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Scanner or site, for ComBat in the folds.")
]
Volume = Annotated[str | None, typer.Option(metavar="COLUMN", help="The volume's column.")]
Group = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Rows with equal values stay in one fold.")
]
Region = Annotated[str | None, typer.Option("--roi", help="The region, where there are several.")]
Drop = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="A column that is no feature.")
]
ExcludeWarn = Annotated[
    bool, typer.Option("--exclude-warn", help="Leave out rows with qc_status warn too.")
]
Stability = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="CSV with feature and icc: of alike features, keep stable."),
]
Algorithm = Annotated[
    str, typer.Option("--model", help="The algorithm that is declared beforehand and saved.")
]
Repeats = Annotated[
    int, typer.Option(min=1, max=100, help="Repeats of the nested cross-validation.")
]
Outer = Annotated[int, typer.Option("--folds", min=3, max=20, help="Outer folds.")]
Inner = Annotated[int, typer.Option("--inner-folds", min=2, max=20, help="Inner folds.")]
CanaryRuns = Annotated[
    int,
    typer.Option(
        "--canary",
        min=0,
        max=1000,
        callback=_can_sing,
        help="Runs on permuted outcomes and on noise, 3 or more; 0: none.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of folds, models, bootstrap and canary.")]
Cores = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default: cores.")]


@app.command()
def subtype(
    features: FeatureTable,
    outcome: ClinicalFile,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="The class in CLINICAL.")],
    out: Out,
    positive: Annotated[
        str | None, typer.Option(metavar="VALUE", help="The class to tell from the rest.")
    ] = None,
    id_column: Id = None,
    outcome_id: OutcomeId = None,
    clinical: Clinical = None,
    batch: Batch = None,
    volume: Volume = None,
    group: Group = None,
    roi: Region = None,
    drop: Drop = None,
    exclude_warn: ExcludeWarn = False,
    stability: Stability = None,
    model: Algorithm = "elastic-net",
    repeats: Repeats = 5,
    folds: Outer = 5,
    inner_folds: Inner = 5,
    canary: CanaryRuns = 8,
    seed: Seed = 0,
    workers: Cores = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Predict a class from features: what does radiomics add?

    OUT gets a report (Markdown, HTML), out-of-fold predictions, the model,
    settings and a pre-filled CLEAR checklist. Exit code 1 when the leakage
    canary finds something where nothing is.
    """
    with usage_errors(verbose):
        need("model", _PACKAGES, "model")
        from pancseg.modelling.study import ModelSettings, subtype_outcome

        options = _options(
            id_column, outcome_id, clinical, batch, volume, (group, roi, drop, exclude_warn)
        )
        settings = ModelSettings(
            kind="subtype",
            positive=positive,
            stability_sha256=_sha256(stability),
            model=model,
            outer=folds,
            inner=inner_folds,
            repeats=repeats,
            canary=canary,
            seed=seed,
        )
        joined, found = subtype_outcome(
            _joined(features, outcome, options, (label,)), label, positive
        )
    _analyse(joined, found, settings, options, (out, stability, workers, quiet, verbose))


@app.command()
def survival(
    features: FeatureTable,
    outcome: ClinicalFile,
    time: Annotated[str, typer.Option(metavar="COLUMN", help="Follow-up in CLINICAL.")],
    event: Annotated[str, typer.Option(metavar="COLUMN", help="Event or censored, in CLINICAL.")],
    out: Out,
    event_is: Annotated[
        str | None, typer.Option(metavar="VALUE", help="The value that means event.")
    ] = None,
    trust_times: Annotated[
        bool, typer.Option("--trust-times", help="Times of one unit, though they do not look it.")
    ] = False,
    id_column: Id = None,
    outcome_id: OutcomeId = None,
    clinical: Clinical = None,
    batch: Batch = None,
    volume: Volume = None,
    group: Group = None,
    roi: Region = None,
    drop: Drop = None,
    exclude_warn: ExcludeWarn = False,
    stability: Stability = None,
    model: Algorithm = "elastic-net",
    repeats: Repeats = 5,
    folds: Outer = 5,
    inner_folds: Inner = 5,
    canary: CanaryRuns = 8,
    seed: Seed = 0,
    workers: Cores = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Predict time to an event from features: what does radiomics add?

    OUT gets a report (Markdown, HTML), out-of-fold predictions, the model,
    settings and a pre-filled CLEAR checklist. Exit code 1 when the leakage
    canary finds something where nothing is.
    """
    with usage_errors(verbose):
        need("model", _PACKAGES, "model")
        from pancseg.modelling.study import ModelSettings, survival_outcome_of

        options = _options(
            id_column, outcome_id, clinical, batch, volume, (group, roi, drop, exclude_warn)
        )
        settings = ModelSettings(
            kind="survival",
            event_is=event_is,
            trust_times=trust_times,
            stability_sha256=_sha256(stability),
            model=model,
            outer=folds,
            inner=inner_folds,
            repeats=repeats,
            canary=canary,
            seed=seed,
        )
        joined, found = survival_outcome_of(
            _joined(features, outcome, options, (time, event)), time, event, event_is, trust_times
        )
    _analyse(joined, found, settings, options, (out, stability, workers, quiet, verbose))


def predict(
    fitted: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `model` wrote.")],
    features: FeatureTable,
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV of predictions to write.")],
    outcome: Annotated[
        Path | None,
        typer.Option(
            metavar="CLINICAL", help="Clinical variables; with outcomes: external validation."
        ),
    ] = None,
    id_column: Id = None,
    outcome_id: OutcomeId = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The patient, where one has several rows.")
    ] = None,
    roi: Annotated[
        str | None, typer.Option("--roi", help="The region; default: the model's.")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE", help="The class to tell from all others; default: the model's."
        ),
    ] = None,
    event_is: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="The value that means event; default: the model's."),
    ] = None,
    trust_model: Annotated[
        bool, typer.Option("--trust-model", help="Load forests too; only from whom you trust.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Apply a fitted model to new patients; with their outcomes, judge it.

    OUT is a CSV with a row for every id of FEATURES and one column per model;
    how the model did goes to <OUT>_validation.csv. Exit code 1 when outcomes are
    known that cannot judge it, such as one class only.
    """
    with usage_errors(verbose):
        need("model", _PACKAGES, "model")
        import pandas as pd

        from pancseg.modelling import predict as new
        from pancseg.modelling.inputs.features_table import TableOptions
        from pancseg.modelling.outputs import MODEL_FILE, csv_bytes
        from pancseg.modelling.report.report import with_interval
        from pancseg.modelling.saved_model import read_model
        from pancseg.system.whole_files import write_whole

        if not (fitted / MODEL_FILE).is_file():
            raise ValueError(f"DIR holds no {MODEL_FILE}; name the folder that `model` wrote")
        saved = read_model((fitted / MODEL_FILE).read_bytes(), trust_model)
        options = TableOptions(id_column, outcome_id, group, roi)
        beside = out.with_name(f"{out.stem}_validation.csv")
        inputs = {path.resolve() for path in (features, outcome) if path}
        if inputs & {out.resolve(), beside.resolve()}:
            raise ValueError("--out: FEATURES or CLINICAL is read, and would be written over")
        joined = new.read_new(saved, features, outcome, options)
        table, notes = new.predictions(saved, joined)
        more, told_more = new.without_clinical_row(saved, features, options, joined)
        table = pd.concat([table, more] if len(more) else [table], ignore_index=True)
        lines: list[str] = []
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole({out: csv_bytes(table)})
        beside.unlink(missing_ok=True)  # how other predictions did
        if not quiet:
            count = int(table.drop(columns="id").notna().any(axis=1).sum())
            end = f"{count} of {len(table)} rows predicted, OUT is written"
            told = [*joined.notes, *notes, *told_more, end]
            say("\n".join(told), sys.stdout)
        known = new.known_outcome(saved, joined, positive, event_is)
        if known is None and outcome is not None:
            lines.append(f"CLINICAL knows no {saved.facts['outcome'][0]!r}: predicted, not judged")
        if known is not None:
            judged, y = known
            for line in new.doubts(saved, y):
                say(line, sys.stderr)
            rows = table.set_index("id").loc[judged.features.index].reset_index()
            lines.append(f"external validation, {judged.size()} with a known outcome:")
            try:
                found = new.external(saved, rows, y, judged.groups)
            except ValueError as error:
                say(f"pancseg: {error}", sys.stderr)
                raise typer.Exit(1) from None
            write_whole({beside: csv_bytes(new.validation_table(found, rows, y))})
            for name, measured in found.items():
                text = ", ".join(f"{key} {with_interval(value)}" for key, value in measured.items())
                count = int(rows[new.column_of(name)].notna().sum())
                fewer = f" ({count} rows)" if count < len(y) else ""
                lines.append(f"  {name}{fewer}: {text}")
    if lines and not quiet:
        say("\n".join(lines), sys.stdout)


def _options(
    id_column: str | None,
    outcome_id: str | None,
    clinical: list[str] | None,
    batch: str | None,
    volume: str | None,
    rest: tuple[str | None, str | None, list[str] | None, bool],
) -> TableOptions:
    from pancseg.modelling.inputs.features_table import TableOptions

    group, roi, drop, exclude_warn = rest
    return TableOptions(
        id_column,
        outcome_id,
        group,
        roi,
        batch,
        volume,
        tuple(dict.fromkeys(clinical or ())),
        tuple(drop or ()),
        exclude_warn,
    )


def _joined(
    features: Path, clinical: Path, options: TableOptions, columns: tuple[str, ...]
) -> JoinedTable:
    from pancseg.modelling.inputs.features_table import read_features
    from pancseg.modelling.inputs.join import join

    return join(read_features(features, options), clinical, options, columns)


def _sha256(path: Path | None) -> str | None:
    """Return the hash of a file's content; one that cannot be read is told of when it is."""
    if path is None or not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _analyse(
    joined: JoinedTable,
    outcome: Endpoint,
    settings: ModelSettings,
    options: TableOptions,
    rest: tuple[Path, Path | None, int | None, bool, bool],
) -> None:
    out, stability, workers, quiet, verbose = rest
    with usage_errors(verbose):
        from pancseg.modelling import study as studies
        from pancseg.modelling.analysis import analyse, steps_of
        from pancseg.modelling.outputs import write_analysis
        from pancseg.system.threads import available_cores
        from pancseg.system.whole_files import check_writable

        studies.refuse_what_cannot_be_modelled(joined, outcome)
        icc = None if stability is None else studies.read_stability(stability, joined)
        study = studies.make_study(joined, outcome, settings, icc)
        warned = studies.warnings_of(joined, outcome, settings)
        check_writable(out)
        for line in [] if quiet else joined.notes:
            say(line, sys.stdout)
        for line in warned:
            say(f"warning: {line}", sys.stderr)
        with progress_lines(steps_of(settings), quiet, "folds", "nothing was written") as tell:
            results = analyse(study, settings, workers or available_cores(), _telling(tell))
        write_analysis(out, results, joined, outcome, options, warned)
    if results.leaks:
        say("pancseg: the canary found a leak; no performance is shown, see the report", sys.stderr)
        raise typer.Exit(1)
    if not quiet:
        say("\n".join([*results.verdict, f"report in {out / 'report.md'}"]), sys.stdout)


def _telling(tell: Callable[[str, bool], None]) -> Callable[[str], None]:
    return lambda line: tell(line, False)
