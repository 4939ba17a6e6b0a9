"""Owns the step from a joined cohort to a study: outcome, blocks, recipes, and the guards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from pancseg.modelling import subtype, survival
from pancseg.modelling.estimators.cox import survival_outcome
from pancseg.modelling.estimators.preparation import plain_preparation, preparation
from pancseg.modelling.inputs.cell_values import MISSING, numbers, read_table
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.leaks import refuse_outcome_values
from pancseg.modelling.inputs.outcome_coding import class_codes, event_codes, survival_times
from pancseg.modelling.validation.importance import SHUFFLES
from pancseg.modelling.validation.nested_cv import (
    FeatureBlock,
    ModelSpec,
    ValidationPlan,
    training_parts,
)

RADIOMICS, VOLUME, CLINICAL, CHANCE = "radiomics", "volume only", "clinical only", "chance"
BOTH = "clinical + radiomics"
FEWEST_EVENTS, FEWEST_OF_CLASS, FEWEST_PATIENTS, FEWEST_OF_BATCH = 10, 10, 20, 10
FEWEST_GROUPS = 3
_USUAL = 5
"""Rows of a grid, at least, to ask whether it goes with the outcome."""
_FEW_PATIENTS, _EVENTS_PER_VARIABLE, _SMALL_SHARE = 100, 10, 0.2


class ModelSettings(BaseModel):
    """What is chosen before looking: written to ``settings.yaml``.

    Attributes:
        kind: subtype or survival.
        model: the algorithm that is judged, saved and compared: a key of ``MODELS``.
        outer, inner, repeats: of the nested cross-validation.
        resamples: of the patient bootstrap.
        canary: runs on permuted outcomes, and as many on noise features; 0: none.
        seed: of folds, models, bootstrap and canary.
        positive: the class to tell from the rest, if it was named.
        event_is: the value that means event, if it was named.
        trust_times: times were not asked whether they are of two units.
        stability_sha256: hash of the file with the features' stability, if there was one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["subtype", "survival"]
    model: str = "elastic-net"
    outer: int = Field(5, ge=3, le=20)
    inner: int = Field(5, ge=2, le=20)
    repeats: int = Field(5, ge=1, le=100)
    resamples: int = Field(1000, ge=100, le=100_000)
    canary: int = Field(8, ge=0, le=1000)
    seed: int = Field(0, ge=0)
    positive: str | None = None
    event_is: str | None = None
    trust_times: bool = False
    stability_sha256: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """The outcome of a joined cohort.

    Attributes:
        kind: subtype or survival.
        y: (n,) 0/1, or events and times.
        columns: where it came from.
        classes: names of class 0 and 1; empty for survival.
        others: the classes that class 0 is made of; empty for survival.
    """

    kind: Literal["subtype", "survival"]
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def strata(self) -> np.ndarray:
        """What folds are balanced by: the class, or whether there was an event."""
        return np.asarray(self.y["event"] if self.kind == "survival" else self.y).astype(int)


def subtype_outcome(
    joined: JoinedTable, label: str, positive: str | None, others: tuple[str, ...] = ()
) -> tuple[JoinedTable, Endpoint]:
    """Return the cohort with a known class, and it; the others are counted.

    Raises:
        ValueError: see :func:`class_codes`; or a column is the class under another name.
    """
    cells = joined.outcomes[label]
    codes, classes = class_codes(cells, label, positive, others)
    keep = codes.notna().to_numpy()
    joined = joined.rows(keep, _lost(keep, f"no {label}", cells))
    y = codes[keep].to_numpy().astype(int)
    _refuse_outcome_again(joined, y.astype(float), label)
    others = others or tuple(sorted(set(cells[codes == 0])))
    return joined, Endpoint("subtype", y, (label,), classes, others)


def survival_outcome_of(
    joined: JoinedTable,
    time: str,
    event: str,
    event_is: str | None,
    trust_times: bool,
    fitted: bool = False,
) -> tuple[JoinedTable, Endpoint]:
    """Return the cohort with known time and event, and these; the others are counted."""
    times = survival_times(joined.outcomes[time], time, trust_times)
    events = event_codes(joined.outcomes[event], event, event_is, fitted)
    keep = (times.notna() & events.notna()).to_numpy()
    joined = joined.rows(keep, _lost(keep, f"no {time} or no {event}", joined.outcomes[event]))
    y = survival_outcome(events[keep].to_numpy() == 1, times[keep].to_numpy())
    _refuse_outcome_again(joined, y["time"], time)
    _refuse_outcome_again(joined, y["event"].astype(float), event)
    return joined, Endpoint("survival", y, (time, event))


def _refuse_outcome_again(joined: JoinedTable, outcome: np.ndarray, column: str) -> None:
    refuse_outcome_values(joined.features, outcome, column)
    refuse_outcome_values(_all_levels(joined), outcome, column, "clinical variable")


def _all_levels(joined: JoinedTable) -> pd.DataFrame:
    """Return clinical variables with an indicator of each text, the first one's too."""
    firsts = {
        f"{name}={levels[0]}": 1
        - joined.clinical[[f"{name}={x}" for x in levels[1:]]].sum(axis=1, skipna=False)
        for name, levels in joined.origin.levels.items()
        if levels
    }
    return joined.clinical.assign(**firsts)


def refuse_what_cannot_be_modelled(joined: JoinedTable, outcome: Endpoint) -> None:
    """Refuse cohorts whose numbers carry no model, in one line each.

    Raises:
        ValueError: the line.
    """
    n = joined.count()
    if outcome.kind == "survival":
        events = joined.count(outcome.y["event"])
        if events == 0:
            raise ValueError(f"all {n} patients are censored: there is no event to model")
        if events < FEWEST_EVENTS:
            raise ValueError(
                f"{events} events in {n} patients; at least {FEWEST_EVENTS} are needed"
            )
        if np.ptp(outcome.y["time"]) == 0:
            raise ValueError(f"all {n} times are {outcome.y['time'][0]:g}: the outcome is constant")
    else:
        smaller = _smaller(joined, outcome)
        if smaller == 0:
            raise ValueError(f"all {n} patients are of one class; two are needed")
        if smaller < FEWEST_OF_CLASS:
            raise ValueError(
                f"the smaller class has {smaller} of {n} patients; at least "
                f"{FEWEST_OF_CLASS} are needed"
            )
    if n < FEWEST_PATIENTS:
        raise ValueError(f"{n} patients; at least {FEWEST_PATIENTS} are needed")
    if joined.batch is not None:
        _refuse_batches(joined, joined.batch)


def _smaller(joined: JoinedTable, outcome: Endpoint) -> int:
    """Return how many patients have an event, or are of the smaller class."""
    codes = (1,) if outcome.kind == "survival" else (0, 1)
    return min(joined.count(outcome.strata == code) for code in codes)


def _in_training(count: int, settings: ModelSettings) -> int:
    """Return how many of them an outer fold trains on."""
    return count * (settings.outer - 1) // settings.outer


def _refuse_few_groups(groups: int, settings: ModelSettings) -> None:
    largest_fold = -(-groups // settings.outer)
    if groups < settings.outer or groups - largest_fold < settings.inner:
        raise ValueError(
            f"{groups} groups of rows that stay together are too few for {settings.outer} folds "
            f"with {settings.inner} inner ones; name another `group`, or fewer folds (`outer`)"
        )


def _refuse_lonely_class(joined: JoinedTable, outcome: Endpoint) -> None:
    """Refuse a class, or events, of so few groups that a training fold has none of it."""
    what = "events" if outcome.kind == "survival" else "patients of a class"
    for code in (1,) if outcome.kind == "survival" else (0, 1):
        groups = len(np.unique(joined.groups[outcome.strata == code]))
        if groups < FEWEST_GROUPS:
            raise ValueError(
                f"all {what} lie in {groups} of {len(np.unique(joined.groups))} groups of rows "
                f"that stay together; at least {FEWEST_GROUPS} are needed: name another `group`"
            )


def _refuse_folds_without(study: ValidationPlan, outcome: Endpoint) -> None:
    """Refuse a study of which some part to train on has one class only, or no event.

    Raises:
        ValueError: with the remedy.
    """
    codes = {1} if outcome.kind == "survival" else {0, 1}
    for train in training_parts(study):
        if not codes <= set(outcome.strata[train]):
            what = "no event" if outcome.kind == "survival" else "one class only"
            raise ValueError(
                f"{what} would be left to train on in some fold: of groups of rows that stay "
                "together a few hold most of it; take fewer folds (`outer`), or another `group`"
            )


def _refuse_batches(joined: JoinedTable, batch: np.ndarray) -> None:
    names = np.unique(batch)
    sizes = np.array([joined.count(batch == name) for name in names])
    if len(names) == 1:
        raise ValueError("`batch`: there is one scanner or site only, nothing to harmonise")
    if sizes.min() < FEWEST_OF_BATCH:
        raise ValueError(
            f"`batch`: {str(names[sizes.argmin()])!r} has {sizes.min()} patients; at least "
            f"{FEWEST_OF_BATCH} of each scanner or site are needed: merge or leave out"
        )


def warnings_of(joined: JoinedTable, outcome: Endpoint, settings: ModelSettings) -> list[str]:
    """Return what the data can hardly carry, with numbers."""
    found = []
    n, p = joined.count(), joined.features.shape[1]
    smaller = _smaller(joined, outcome)
    what = "events" if outcome.kind == "survival" else "patients of the smaller class"
    name, most = _largest_model(joined, settings, smaller)
    if n < _FEW_PATIENTS:
        found.append(f"{n} patients: intervals are wide, and a small study finds mostly luck.")
    if (groups := len(np.unique(joined.groups))) < FEWEST_PATIENTS:
        found.append(f"{groups} groups of rows stay together: intervals over so few say little.")
    if smaller / most < _EVENTS_PER_VARIABLE:
        found.append(
            f"{smaller} {what} for models of up to {most} variables ({name}): "
            f"{smaller / most:.1f} per variable, fewer than {_EVENTS_PER_VARIABLE}."
        )
    if smaller / p < 1:
        found.append(f"{p} candidate features for {smaller} {what}: {smaller / p:.2g} for each.")
    if outcome.kind == "subtype" and smaller / n < _SMALL_SHARE:
        found.append(f"The smaller class has {smaller} of {n} patients ({smaller / n:.0%}).")
    if outcome.kind == "survival":
        found += _odd_times(outcome.y)
    columns = pd.concat([joined.features, joined.clinical], axis=1)
    found += _separation(columns, outcome)
    return found + _blind_spots(joined, outcome)


def _blind_spots(joined: JoinedTable, outcome: Endpoint) -> list[str]:
    """Return what cannot be told apart for want of a column, or because two go together."""
    found = []
    if joined.volume.shape[1] == 0:
        found.append("No volume column: whether radiomics measured only volume cannot be told.")
    if joined.clinical.shape[1] == 0:
        found.append("No clinical column (`clinical`): what radiomics adds to them is not known.")
    if joined.batch is not None:
        found += _confounded("Scanner or site", joined.batch, outcome.strata, _COMBAT)
    if joined.grids is not None:
        names, counts = np.unique(joined.grids, return_counts=True)
        usual = np.isin(joined.grids, names[(counts >= _USUAL) & (names != "")])
        grids = joined.grids[usual]
        if len(np.unique(grids)) > 1:
            found += _confounded("The grid (qc_grid_mm)", grids, outcome.strata[usual], _GRIDS)
    return found


def _largest_model(joined: JoinedTable, settings: ModelSettings, smaller: int) -> tuple[str, int]:
    """Return which of the models that are judged sees most variables, and how many."""
    most = max(subtype.SIZES[0], _in_training(smaller, settings) // 4)
    sizes = [k for k in subtype.SIZES if k <= most]
    chosen = max(sizes) if settings.model == "elastic-net" else subtype.TREE_COLUMNS
    chosen, clinical = min(chosen, joined.features.shape[1]), joined.clinical.shape[1]
    return (BOTH, chosen + clinical) if clinical else (RADIOMICS, chosen)


def _odd_times(y: np.ndarray) -> list[str]:
    found = []
    if (zero := int((y["time"] == 0).sum())) > 0:
        found.append(f"{zero} patients have time 0.")
    if y["event"].all():
        found.append("No patient is censored; is the event column right?")
    return found


def make_study(
    joined: JoinedTable,
    outcome: Endpoint,
    settings: ModelSettings,
    stability: pd.Series[float] | None = None,
) -> ValidationPlan:
    """Return the study of a cohort: radiomics, and always beside it what is simpler.

    Args:
        joined: the cohort.
        outcome: of the same rows.
        settings: as chosen.
        stability: ICC by feature name.

    Raises:
        ValueError: no such model, or fewer groups than folds need.
    """
    kind = subtype if outcome.kind == "subtype" else survival
    models = kind.MODELS
    if settings.model not in models:
        raise ValueError(f"`model`: there is no {settings.model!r}; known are {', '.join(models)}")
    _refuse_few_groups(len(np.unique(joined.groups)), settings)
    _refuse_lonely_class(joined, outcome)
    icc = None if stability is None else tuple(stability.reindex(joined.features.columns))
    blocks = {RADIOMICS: _radiomics(joined, icc)}
    for name, frame in ((VOLUME, joined.volume), (CLINICAL, joined.clinical)):
        if frame.shape[1]:
            blocks[name] = FeatureBlock(
                frame.to_numpy(float), tuple(map(str, frame)), plain_preparation()
            )
    smaller = _in_training(_smaller(joined, outcome), settings)
    declared = models[settings.model](smaller, 0, settings.seed)
    recipes = [ModelSpec(RADIOMICS, (RADIOMICS,), declared, SHUFFLES)]
    for name, build in models.items():
        if name != settings.model:
            title = f"{RADIOMICS}, {name.replace('-', ' ')}"
            recipes.append(ModelSpec(title, (RADIOMICS,), build(smaller, 0, settings.seed)))
    recipes += [
        ModelSpec(name, (name,), kind.plain()) for name in (VOLUME, CLINICAL) if name in blocks
    ]
    if CLINICAL in blocks:
        always = joined.clinical.shape[1]
        both = models[settings.model](smaller, always, settings.seed)
        recipes.append(ModelSpec(BOTH, (RADIOMICS, CLINICAL), both))
    recipes.append(ModelSpec(CHANCE, (), kind.chance()))
    task = (
        subtype.SubtypeTask()
        if outcome.kind == "subtype"
        else survival.SurvivalTask(survival.time_grid(outcome.y))
    )
    study = ValidationPlan(
        outcome.y,
        _strata(outcome.strata, joined.batch),
        joined.groups,
        blocks,
        recipes,
        task,
        settings.outer,
        settings.inner,
        settings.repeats,
        settings.seed,
    )
    _refuse_folds_without(study, outcome)
    return study


def read_stability(path: Path, joined: JoinedTable) -> pd.Series[float]:
    """Return ICC by feature from a CSV with columns ``feature`` and ``icc``.

    Raises:
        ValueError: other columns, text, a feature twice, none of the cohort's.
    """
    table = read_table(path, "the stability file")
    if not {"feature", "icc"} <= set(table.columns):
        raise ValueError("the stability file needs the columns feature and icc")
    if table["feature"].duplicated().any():
        raise ValueError("the stability file names a feature twice")
    if table.empty:
        raise ValueError("the stability file has no rows")
    found = numbers(table["icc"], "icc").set_axis(pd.Index(table["feature"]))
    if not set(found.index) & set(joined.features):
        raise ValueError(
            f"the stability file ({found.index[0]!r}, …) names none of the features "
            f"({joined.features.columns[0]!r}, …)"
        )
    return found


def batch_codes(batch: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return numbers of scanners or sites, and their names in that order."""
    names, codes = np.unique(batch, return_inverse=True)
    return codes, tuple(str(name) for name in names)


def _radiomics(joined: JoinedTable, icc: tuple[float, ...] | None) -> FeatureBlock:
    x = joined.features.to_numpy(float)
    if joined.batch is not None:
        x = np.column_stack([batch_codes(joined.batch)[0], x])
    names = tuple(joined.features.columns)
    return FeatureBlock(x, names, preparation(icc, joined.batch is not None))


def _strata(strata: np.ndarray, batch: np.ndarray | None) -> np.ndarray:
    """Return the outcome's strata, parted by batch too so that every fold has all of them."""
    return strata if batch is None else strata + 2 * batch_codes(batch)[0]


def _lost(keep: np.ndarray, why: str, cells: pd.Series[str]) -> str | None:
    """Return how many rows go, and what stands in those cells that are not empty."""
    if keep.all():
        return None
    words = sorted(set(cells[~keep].str.casefold()) & (MISSING - {""}))
    written = f" (cells that say {', '.join(words)} among them)" if words else ""
    return f"{int((~keep).sum())} rows with {why} were left out{written}."


def _separation(columns: pd.DataFrame, outcome: Endpoint) -> list[str]:
    """Return a warning where one column alone parts the classes, or orders every event."""
    x = columns.to_numpy(float)
    parts = _orders_events if outcome.kind == "survival" else _parts_classes
    seen = ~np.isnan(x)
    varied = np.where(seen, x, -np.inf).max(axis=0) > np.where(seen, x, np.inf).min(axis=0)
    parted = columns.columns[(parts(x, outcome.y) | parts(-x, outcome.y)) & varied]
    if not len(parted):
        return []
    what, ratio = (
        ("order all events without error", "hazard")
        if outcome.kind == "survival"
        else ("part the classes without error", "odds")
    )
    return [
        f"Separation: {len(parted)} columns, such as {parted[0]}, {what}; {ratio} ratios are "
        "infinite without a penalty. Does one of them encode the outcome?"
    ]


def _parts_classes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (p,) whether class 1 lies above class 0; missing values do not count."""
    low = np.where(np.isnan(x), np.inf, x)[y == 1].min(axis=0)
    high = np.where(np.isnan(x), -np.inf, x)[y == 0].max(axis=0)
    return np.asarray(low > high)


def _orders_events(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (p,) whether at every event the patient has the highest value of those at risk."""
    order = np.argsort(-y["time"], kind="stable")
    time, event, z = y["time"][order], y["event"][order], x[order]
    at_risk = np.searchsorted(-time, -time, side="right")[event] - 1
    highest = np.maximum.accumulate(np.where(np.isnan(z), -np.inf, z), axis=0)[at_risk]
    return np.asarray((z[event] >= highest).all(axis=0))


_COMBAT = "ComBat then removes biology together with the site, or leaves some of the site."
_GRIDS = (
    "texture depends on the grid, so that radiomics may have measured the voxel size; measure all "
    "on one."
)


def _confounded(what: str, batch: np.ndarray, strata: np.ndarray, then: str) -> list[str]:
    from scipy.stats import chi2_contingency

    p = chi2_contingency(pd.crosstab(batch, strata)).pvalue
    return [f"{what} goes with the outcome (chi-squared p = {p:.2g}): {then}"] * bool(p <= 0.05)
