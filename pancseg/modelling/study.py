"""Turn a joined cohort into an endpoint and a validation plan, or refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from pancseg.modelling import subtype, survival
from pancseg.modelling.algorithm import distinct
from pancseg.modelling.estimators.cox import survival_outcome
from pancseg.modelling.estimators.preparation import plain_preparation, preparation
from pancseg.modelling.inputs.cell_values import MISSING, numbers, read_table
from pancseg.modelling.inputs.clinical import indicator
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.leaks import refuse_outcome_values
from pancseg.modelling.inputs.outcome_coding import (
    EventCoding,
    class_codes,
    competing_codes,
    event_codes,
    survival_times,
)
from pancseg.modelling.inputs.spelling import one_spelling
from pancseg.modelling.validation.importance import SHUFFLES
from pancseg.modelling.validation.nested_cv import (
    FeatureBlock,
    ModelSpec,
    ValidationPlan,
    training_parts,
)
from pancseg.system.yaml_file import FrozenModel

RADIOMICS, VOLUME, CLINICAL, CHANCE = "radiomics", "volume only", "clinical only", "chance"
SINGLE = "best single feature"
BOTH = "clinical + radiomics"
FEWEST_EVENTS, FEWEST_OF_CLASS, FEWEST_PATIENTS, FEWEST_OF_BATCH = 10, 10, 20, 10
FEWEST_GROUPS = 3
_USUAL = 5
"""Fewest rows on a grid for it to count when grid and outcome are tested for association."""
_FEW_PATIENTS, _EVENTS_PER_VARIABLE, _SMALL_SHARE = 100, 10, 0.2


class ModelSettings(FrozenModel):
    """The choices made before the data are analysed; written to ``settings.yaml``.

    Attributes:
        kind: ``subtype`` or ``survival``.
        model: the algorithm that is judged, saved and compared: a key of ``MODELS``.
        outer: number of outer folds.
        inner: number of inner folds.
        repeats: number of repeats of the nested cross-validation.
        resamples: number of resamples of the patient bootstrap.
        canary: number of runs on permuted outcomes, and again on noise features; 0: none.
        seed: random seed of folds, models, bootstrap and canary.
        positive: the class to tell from all others, if it was named.
        event_is: the value that means event, if it was named.
        competing: the values that mean a competing event, if they were named.
        trust_times: whether times that look as if they were in two units are accepted.
        stability_sha256: hash of the file with the features' stability, if one was given.
        time_unit: what a time of 1 is, such as ``months``; None: not told.
        horizons: times that survival is reported for; none: quartiles of the event times.
        subgroups: columns whose values are reported as subgroups.
        leave_out: column of sites that are left out in turn; None: no such validation.
    """

    kind: Literal["subtype", "survival"]
    model: str = "elastic-net"
    outer: int = Field(5, ge=3, le=20, alias="folds")
    inner: int = Field(5, ge=2, le=20, alias="inner_folds")
    repeats: int = Field(5, ge=1, le=100)
    resamples: int = Field(1000, ge=100, le=100_000)
    canary: int = Field(8, ge=0, le=1000)
    seed: int = Field(0, ge=0)
    positive: str | None = None
    event_is: str | None = None
    competing: tuple[str, ...] = ()
    trust_times: bool = False
    stability_sha256: str | None = None
    time_unit: str | None = Field(None, min_length=1, max_length=20, pattern=r"^[A-Za-z ]+$")
    horizons: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()
    subgroups: tuple[str, ...] = ()
    leave_out: str | None = None

    @field_validator("canary")
    @classmethod
    def _enough_to_find_a_leak(cls, runs: int) -> int:
        if runs in (1, 2):
            raise ValueError(f"{runs} runs are too few to find a leak; give 3 or more, or 0")
        return runs


@dataclass(frozen=True)
class Endpoint:
    """What the models of a joined cohort predict.

    Attributes:
        kind: ``subtype`` or ``survival``.
        y: (n,) class 0 or 1, or a structured array of events and times.
        columns: the columns of the clinical file that it was read from.
        classes: names of class 0 and 1; empty for survival.
        others: the classes that class 0 combines; empty for survival.
        cause: (n,) 0 censored, 1 event, 2 competing event, where competing events were named.
        censored_codes: what the event column says of those who count as censored, and how often,
            where that is more than one value and no competing event was named.
        codes: outcome (``event``, ``competing event``, ``censored``) → what the event column says
            of it → number of rows; empty for classes.
    """

    kind: Literal["subtype", "survival"]
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    cause: np.ndarray | None = None
    censored_codes: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def strata(self) -> np.ndarray:
        """(n,) what folds are balanced by: the class, or whether there was an event."""
        return np.asarray(self.y["event"] if self.kind == "survival" else self.y).astype(int)


def subtype_outcome(
    joined: JoinedTable, label: str, positive: str | None, others: tuple[str, ...] = ()
) -> tuple[JoinedTable, Endpoint]:
    """Return the patients with a known class, and the endpoint; the others are counted in a note.

    Raises:
        ValueError: see :func:`class_codes`; or a column is the class under another name.
    """
    cells = joined.outcomes[label]
    codes, classes = class_codes(cells, label, positive, others)
    keep = codes.notna().to_numpy()
    joined = joined.rows(keep, _lost(keep, f"no {label}", cells))
    y = codes[keep].to_numpy().astype(int)
    _refuse_outcome_again(joined, y.astype(float), label)
    others = others or tuple(sorted(set(one_spelling(cells)[0][codes == 0])))
    return joined, Endpoint("subtype", y, (label,), classes, others)


def survival_outcome_of(
    joined: JoinedTable,
    time: str,
    event: str,
    coding: EventCoding,
    trust_times: bool = False,
) -> tuple[JoinedTable, Endpoint]:
    """Return the patients with a known time and event, and the endpoint; others are counted.

    Args:
        joined: the cohort.
        time: column of the follow-up time.
        event: column that says event or censored.
        coding: what the values of ``event`` mean.
        trust_times: do not check whether two units are mixed.

    Raises:
        ValueError: see :func:`survival_times`, :func:`event_codes` and :func:`competing_codes`.
    """
    times = survival_times(joined.outcomes[time], time, trust_times)
    cells = joined.outcomes[event]
    rival = competing_codes(cells, event, coding.event_is, coding.competing)
    events = event_codes(cells, event, coding.event_is, coding.fitted)
    keep = (times.notna() & events.notna()).to_numpy()
    joined = joined.rows(keep, _lost(keep, f"no {time} or no {event}", joined.outcomes[event]))
    y = survival_outcome(events[keep].to_numpy() == 1, times[keep].to_numpy())
    _refuse_outcome_again(joined, y["time"], time)
    _refuse_outcome_again(joined, y["event"].astype(float), event)
    cause = np.where(rival[keep], 2, y["event"].astype(int)) if coding.competing else None
    named = coding.event_is is not None and not coding.competing
    codes = _censored_codes(cells[keep][~y["event"]]) if named else {}
    said = _codes_by_outcome(cells[keep], y["event"], rival[keep].to_numpy())
    return joined, Endpoint(
        "survival", y, (time, event), cause=cause, censored_codes=codes, codes=said
    )


def _codes_by_outcome(
    cells: pd.Series[str], event: np.ndarray, rival: np.ndarray
) -> dict[str, dict[str, int]]:
    """Return what the cells of each outcome say, and in how many rows; the most frequent first."""
    spelt = one_spelling(cells)[0]
    parts = {"event": event, "competing event": rival, "censored": ~event & ~rival}
    return {
        name: {str(code): int(count) for code, count in spelt[rows].value_counts().items()}
        for name, rows in parts.items()
        if rows.any()
    }


def _censored_codes(cells: pd.Series[str]) -> dict[str, int]:
    """Return what those without the event are called and how often, where names differ."""
    counts = one_spelling(cells)[0].str.casefold().value_counts()
    return {str(name): int(count) for name, count in counts.items()} if len(counts) > 1 else {}


def _refuse_outcome_again(joined: JoinedTable, outcome: np.ndarray, column: str) -> None:
    refuse_outcome_values(joined.features, outcome, column)
    refuse_outcome_values(all_levels(joined), outcome, column, "clinical variable")


def all_levels(joined: JoinedTable) -> pd.DataFrame:
    """Return clinical variables with an indicator of every level, including the first."""
    firsts = {
        indicator(name, levels[0]): 1
        - joined.clinical[[indicator(name, x) for x in levels[1:]]].sum(axis=1, skipna=False)
        for name, levels in joined.origin.levels.items()
        if levels
    }
    return joined.clinical.assign(**firsts)


def refuse_what_cannot_be_modelled(joined: JoinedTable, endpoint: Endpoint) -> None:
    """Refuse cohorts that are too small or too uniform for a model.

    Raises:
        ValueError: says what is missing, in one line.
    """
    n = joined.count()
    if endpoint.kind == "survival":
        events = joined.count(endpoint.y["event"])
        if events == 0:
            raise ValueError(
                f"all {n} patients are censored, so there is no event to model; check the event "
                "column"
            )
        if events < FEWEST_EVENTS:
            raise ValueError(
                f"{events} events in {n} patients; at least {FEWEST_EVENTS} events are needed"
            )
        if np.ptp(endpoint.y["time"]) == 0:
            raise ValueError(
                f"the outcome is constant: all {n} times are {endpoint.y['time'][0]:g}; check the "
                "time column"
            )
    else:
        smaller = _smaller(joined, endpoint)
        if smaller == 0:
            raise ValueError(f"all {n} patients are of one class; two classes are needed")
        if smaller < FEWEST_OF_CLASS:
            raise ValueError(
                f"the smaller class has {smaller} of {n} patients; at least "
                f"{FEWEST_OF_CLASS} are needed"
            )
    if n < FEWEST_PATIENTS:
        raise ValueError(f"the cohort has {n} patients; at least {FEWEST_PATIENTS} are needed")
    if joined.batch is not None:
        _refuse_batches(joined, joined.batch)


def events_per_column(joined: JoinedTable, endpoint: Endpoint) -> str:
    """Return how many events, or patients of the smaller class, there are per candidate column."""
    smaller = _smaller(joined, endpoint)
    columns = joined.features.shape[1] + joined.clinical.shape[1]
    what = "events" if endpoint.kind == "survival" else "patients of the smaller class"
    share = f"{smaller / columns:.1f}" if smaller < 10 * columns else f"{smaller / columns:.0f}"
    noun = "column" if columns == 1 else "columns"
    return f"{smaller} {what}, {columns} candidate {noun}: {share} per column."


def _smaller(joined: JoinedTable, endpoint: Endpoint) -> int:
    """Return the number of patients with an event, or of the smaller class."""
    codes = (1,) if endpoint.kind == "survival" else (0, 1)
    return min(joined.count(endpoint.strata == code) for code in codes)


def _in_training(count: int, settings: ModelSettings) -> int:
    """Return the number of patients, of ``count``, that an outer fold trains on."""
    return count * (settings.outer - 1) // settings.outer


def _refuse_few_groups(groups: int, settings: ModelSettings) -> None:
    largest_fold = -(-groups // settings.outer)
    if groups < settings.outer or groups - largest_fold < settings.inner:
        raise ValueError(
            f"{groups} groups of rows that stay together are too few for {settings.outer} folds "
            f"with {settings.inner} inner folds each; name another `group`, or take fewer folds "
            "(`folds`)"
        )


def _refuse_lonely_class(joined: JoinedTable, endpoint: Endpoint) -> None:
    """Refuse a class, or events, in so few groups that a training fold may have none."""
    what = "events" if endpoint.kind == "survival" else "patients of a class"
    for code in (1,) if endpoint.kind == "survival" else (0, 1):
        groups = len(np.unique(joined.groups[endpoint.strata == code]))
        if groups < FEWEST_GROUPS:
            raise ValueError(
                f"all {what} are in {groups} of {len(np.unique(joined.groups))} groups of rows "
                f"that stay together; at least {FEWEST_GROUPS} are needed: name another `group`"
            )


def _refuse_folds_without(plan: ValidationPlan, endpoint: Endpoint) -> None:
    """Refuse a plan in which a training part has only one class, or no event."""
    codes = {1} if endpoint.kind == "survival" else {0, 1}
    for train in training_parts(plan):
        if not codes <= set(endpoint.strata[train]):
            what = "no event" if endpoint.kind == "survival" else "only one class"
            raise ValueError(
                f"a fold would have {what} to train on, because a few groups of rows that stay "
                "together contain most of the others; take fewer folds (`folds`) or another `group`"
            )


def _refuse_batches(joined: JoinedTable, batch: np.ndarray) -> None:
    names = np.unique(batch)
    sizes = np.array([joined.count(batch == name) for name in names])
    if len(names) == 1:
        raise ValueError(
            f"`batch`: all rows are of one scanner or site ({names[0]}), so there is nothing to "
            "harmonise; leave `batch` out"
        )
    if sizes.min() < FEWEST_OF_BATCH:
        raise ValueError(
            f"`batch`: {str(names[sizes.argmin()])!r} has {sizes.min()} patients; at least "
            f"{FEWEST_OF_BATCH} of each scanner or site are needed: merge it with another or leave "
            "it out"
        )


def warnings_of(joined: JoinedTable, endpoint: Endpoint, settings: ModelSettings) -> list[str]:
    """Return warnings about what the data are hardly sufficient for."""
    found = []
    n, p = joined.count(), joined.features.shape[1]
    smaller = _smaller(joined, endpoint)
    what = "events" if endpoint.kind == "survival" else "patients of the smaller class"
    name, most = _largest_model(joined, settings)
    if n < _FEW_PATIENTS:
        found.append(
            f"{n} patients: intervals are wide, and differences in so small a study are mostly "
            "chance."
        )
    if (groups := len(np.unique(joined.groups))) < FEWEST_PATIENTS:
        found.append(
            f"{groups} groups of rows stay together: intervals from so few groups say little."
        )
    if smaller / most < _EVENTS_PER_VARIABLE:
        found.append(
            f"{smaller} {what} for models of up to {most} variables ({name}): "
            f"{smaller / most:.1f} per variable; at least {_EVENTS_PER_VARIABLE} are advised."
        )
    if smaller / p < 1 and most < p:
        found.append(f"{p} candidate features for {smaller} {what}: {smaller / p:.2g} per feature.")
    if endpoint.kind == "subtype" and smaller / n < _SMALL_SHARE:
        found.append(f"The smaller class has {smaller} of {n} patients ({smaller / n:.0%}).")
    if endpoint.kind == "survival":
        found += _odd_times(endpoint.y)
    columns = pd.concat([joined.features, joined.clinical], axis=1)
    found += _separation(columns, endpoint)
    return found + _blind_spots(joined, endpoint)


def _blind_spots(joined: JoinedTable, endpoint: Endpoint) -> list[str]:
    """Return warnings about questions that the columns given cannot answer."""
    found = []
    if joined.volume.shape[1] == 0:
        found.append(
            "No volume column: whether radiomics measures more than volume cannot be tested."
        )
    if joined.clinical.shape[1] == 0:
        found.append(
            "No clinical variables (`clinical`): what radiomics adds to them cannot be tested."
        )
    if joined.batch is not None:
        found += _confounded("Scanner or site", joined.batch, endpoint.strata, _COMBAT)
    if joined.grids is not None:
        names, counts = np.unique(joined.grids, return_counts=True)
        usual = np.isin(joined.grids, names[(counts >= _USUAL) & (names != "")])
        grids = joined.grids[usual]
        if len(np.unique(grids)) > 1:
            found += _confounded("The grid (qc_grid_mm)", grids, endpoint.strata[usual], _GRIDS)
    return found


def _largest_model(joined: JoinedTable, settings: ModelSettings) -> tuple[str, int]:
    """Return the judged model with the most variables, and their number."""
    features, clinical = joined.features.shape[1], joined.clinical.shape[1]
    linear = settings.model == "elastic-net"  # one of its candidates is a ridge of all features
    chosen = features if linear else min(subtype.TREE_COLUMNS, features)
    return (BOTH, chosen + clinical) if clinical else (RADIOMICS, chosen)


def _odd_times(y: np.ndarray) -> list[str]:
    found = []
    if (zero := int((y["time"] == 0).sum())) > 0:
        found.append(f"{zero} patients have time 0.")
    if y["event"].all():
        found.append("No patient is censored. Is the event column right?")
    return found


def make_study(
    joined: JoinedTable,
    endpoint: Endpoint,
    settings: ModelSettings,
    stability: pd.Series[float] | None = None,
) -> ValidationPlan:
    """Return the validation plan of a cohort: radiomics, and the simpler models to compare it with.

    Args:
        joined: the cohort.
        endpoint: the endpoint of the same rows.
        settings: the choices made beforehand.
        stability: ICC by feature name.

    Raises:
        ValueError: no such model, or the folds need more groups of rows than there are.
    """
    kind = subtype if endpoint.kind == "subtype" else survival
    models = kind.MODELS
    if settings.model not in models:
        raise ValueError(
            f"`model`: unknown model {settings.model!r}; choose from {', '.join(models)}"
        )
    _refuse_few_groups(len(np.unique(joined.groups)), settings)
    _refuse_lonely_class(joined, endpoint)
    icc = None if stability is None else tuple(stability.reindex(joined.features.columns))
    blocks = {RADIOMICS: _radiomics(joined, icc)}
    for name, frame in ((VOLUME, joined.volume), (CLINICAL, joined.clinical)):
        if frame.shape[1]:
            blocks[name] = FeatureBlock(
                frame.to_numpy(float), tuple(map(str, frame)), plain_preparation()
            )
    smaller = _in_training(_smaller(joined, endpoint), settings)
    declared = models[settings.model]
    few = declared.few(smaller, settings.seed)
    width = joined.features.shape[1]
    many = distinct(declared.many(smaller, settings.seed), width)
    specs = [ModelSpec(RADIOMICS, (RADIOMICS,), many, SHUFFLES)]
    for name, other in models.items():
        if name != settings.model:
            title = f"{RADIOMICS}, {name.replace('-', ' ')}"
            others = distinct(other.many(smaller, settings.seed), width)
            specs.append(ModelSpec(title, (RADIOMICS,), others))
    specs.append(ModelSpec(SINGLE, (RADIOMICS,), declared.single(smaller, settings.seed)))
    specs += [ModelSpec(name, (name,), few) for name in (VOLUME, CLINICAL) if name in blocks]
    if CLINICAL in blocks:
        columns = joined.clinical.shape[1] + 1
        both = declared.few(smaller, settings.seed, rising=columns)
        specs.append(ModelSpec(BOTH, (CLINICAL,), both, score_of=RADIOMICS))
    specs.append(ModelSpec(CHANCE, (), kind.chance()))
    task = (
        subtype.SubtypeTask()
        if endpoint.kind == "subtype"
        else survival.SurvivalTask(
            survival.time_grid(endpoint.y),
            survival.chosen_horizons(endpoint.y, settings.horizons),
        )
    )
    plan = ValidationPlan(
        endpoint.y,
        _strata(endpoint.strata, joined.batch),
        joined.groups,
        blocks,
        specs,
        task,
        settings.outer,
        settings.inner,
        settings.repeats,
        settings.seed,
    )
    _refuse_folds_without(plan, endpoint)
    return plan


def read_stability(path: Path, joined: JoinedTable) -> pd.Series[float]:
    """Return the ICC by feature from a CSV with columns ``feature`` and ``icc``.

    Raises:
        ValueError: a column is missing, text instead of numbers, a feature twice, or none of the
            cohort's features.
    """
    table = read_table(path, "the stability file")
    if not {"feature", "icc"} <= set(table.columns):
        raise ValueError("the stability file needs the columns 'feature' and 'icc'")
    if table["feature"].duplicated().any():
        first = table["feature"][table["feature"].duplicated()].iloc[0]
        raise ValueError(f"the stability file names {first!r} twice; keep one row per feature")
    if table.empty:
        raise ValueError("the stability file has no rows; one per feature is needed")
    found = numbers(table["icc"], "icc").set_axis(pd.Index(table["feature"]))
    if not set(found.index) & set(joined.features):
        raise ValueError(
            f"the stability file ({found.index[0]!r}, …) names none of the features "
            f"({joined.features.columns[0]!r}, …); use the same feature names in both"
        )
    return found


def batch_codes(batch: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the (n,) codes of the rows' scanners or sites, and the names by code."""
    names, codes = np.unique(batch, return_inverse=True)
    return codes, tuple(str(name) for name in names)


def _radiomics(joined: JoinedTable, icc: tuple[float, ...] | None) -> FeatureBlock:
    x = joined.features.to_numpy(float)
    if joined.batch is not None:
        x = np.column_stack([batch_codes(joined.batch)[0], x])
    names = tuple(joined.features.columns)
    return FeatureBlock(x, names, preparation(icc, joined.batch is not None))


def _strata(strata: np.ndarray, batch: np.ndarray | None) -> np.ndarray:
    """Return strata of outcome and batch together, so that every fold has all batches."""
    return strata if batch is None else strata + 2 * batch_codes(batch)[0]


def _lost(keep: np.ndarray, why: str, cells: pd.Series[str]) -> str | None:
    """Return a note on the rows left out, and on what their cells say where they are not empty."""
    if keep.all():
        return None
    texts = sorted(set(cells[~keep].str.casefold()) & (MISSING - {""}))
    written = f" (including cells that say {', '.join(texts)})" if texts else ""
    return f"{int((~keep).sum())} rows with {why} were left out{written}."


def _separation(columns: pd.DataFrame, endpoint: Endpoint) -> list[str]:
    """Return a warning where one column alone separates the classes, or orders all events."""
    x = columns.to_numpy(float)
    separates = _orders_events if endpoint.kind == "survival" else _separates_classes
    seen = ~np.isnan(x)
    varied = np.where(seen, x, -np.inf).max(axis=0) > np.where(seen, x, np.inf).min(axis=0)
    separating = columns.columns[(separates(x, endpoint.y) | separates(-x, endpoint.y)) & varied]
    if not len(separating):
        return []
    what, ratio = (
        ("order all events without error", "hazard")
        if endpoint.kind == "survival"
        else ("separate the classes without error", "odds")
    )
    return [
        f"Separation: {len(separating)} columns, such as {separating[0]}, {what}; {ratio} ratios "
        "are infinite without a penalty. Does one of them encode the outcome?"
    ]


def _separates_classes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return for each column whether all values of class 1 exceed class 0's; gaps do not count."""
    low = np.where(np.isnan(x), np.inf, x)[y == 1].min(axis=0)
    high = np.where(np.isnan(x), -np.inf, x)[y == 0].max(axis=0)
    return np.asarray(low > high)


def _orders_events(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return for each column whether each event hits the highest value of all at risk."""
    order = np.argsort(-y["time"], kind="stable")
    time, event, z = y["time"][order], y["event"][order], x[order]
    at_risk = np.searchsorted(-time, -time, side="right")[event] - 1
    highest = np.maximum.accumulate(np.where(np.isnan(z), -np.inf, z), axis=0)[at_risk]
    return np.asarray((z[event] >= highest).all(axis=0))


_COMBAT = "ComBat then removes biology along with the site effect, or leaves part of that effect."
_GRIDS = (
    "texture depends on the grid, so radiomics may have measured the voxel size; extract all rows "
    "on one grid."
)


def _confounded(what: str, batch: np.ndarray, strata: np.ndarray, then: str) -> list[str]:
    from scipy.stats import chi2_contingency

    p = chi2_contingency(pd.crosstab(batch, strata)).pvalue
    if p > 0.05:
        return []
    return [f"{what} is associated with the outcome (chi-squared p = {p:.2g}): {then}"]
