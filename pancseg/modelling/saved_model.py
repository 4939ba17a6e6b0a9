"""Read and write ``model.safetensors``: fitted models as plain numbers, which need no loader.

The file holds arrays and, in its header, a JSON text. Both are checked, and NumPy computes the
predictions (:mod:`pancseg.modelling.plain`). Nothing in a file names a type or a function, so that
a forged file can be wrong, but can neither run code nor make a library follow its indices.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pancseg.modelling.overlap import COLUMNS, SETS
from pancseg.modelling.plain.arrays import check_shape, from_arrays, named_arrays
from pancseg.modelling.plain.beside import ALL_PREDICTORS
from pancseg.modelling.plain.model import (
    BatchEffects,
    Imputation,
    PlainModel,
    Scaling,
    UsedColumns,
)
from pancseg.modelling.study import RADIOMICS
from pancseg.system.regular_files import MEBIBYTE, read_regular
from pancseg.system.version import __version__
from pancseg.system.yaml_file import FrozenModel

FORMAT, PLAIN_FORMAT = 6, 5
"""The format that is read; a model without equations for missing values is written as the one
before, which is the same but for them, and is read too."""
MODEL_FILE = "model.safetensors"
OLD_FILE = "model.skops"
"""The model file of formats 1 to 3, which could crash scikit-learn when forged."""
MOST_BYTES = 512 * MEBIBYTE
"""Largest model file; a forest of 200 trees has about 6 kB for each patient it was fitted on."""
MOST_HEADER_BYTES = MEBIBYTE
"""Longest header: names of the used columns, and the properties of the table."""
_KEY = "pancseg_model"
_ROWS = "training_rows"
_NO_MODEL = "it is not a model that pancseg wrote"

_Text = Annotated[str, Field(max_length=100_000)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Block = Literal["radiomics", "volume only", "clinical only"]
_Name = Literal["radiomics", "volume only", "clinical only", "clinical + radiomics", "chance"]


class _Origin(FrozenModel):
    features: list[_Text]
    settings: _Text | None
    region: _Text | None
    volume: _Text | None
    group: _Text | None
    levels: dict[_Text, list[_Text]]
    grids: list[_Text]


def _told_apart(horizons: list[float]) -> list[float]:
    if len({f"{horizon:.6g}" for horizon in horizons}) < len(horizons):
        raise ValueError("two horizons are the same to six digits")
    return horizons


_Unit = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[A-Za-z ]+$")]


class _Facts(FrozenModel):
    origin: _Origin
    batches: list[_Text] | None
    batch_column: _Text | None
    exclude_warn: bool
    outcome: list[_Text]
    classes: list[_Text]
    others: list[_Text]
    event_is: _Text | None
    times: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    patients: int = Field(ge=0)
    made_by: _Text
    median_time: float | None = Field(None, ge=0, allow_inf_nan=False)
    row_columns: list[Annotated[list[_Text], Field(min_length=1, max_length=COLUMNS)]] = Field(
        max_length=SETS
    )
    salt: Annotated[str, Field(max_length=100)]
    exact_columns: list[_Text] = Field([], max_length=SETS * COLUMNS)
    competing: list[_Text]
    time_unit: _Unit | None = None
    ranges: dict[_Text, tuple[_Finite, _Finite]] = Field({})
    scores: dict[_Text, tuple[_Finite, _Finite]] = Field({})
    measures: dict[_Text, dict[_Text, tuple[_Finite, _Finite, _Finite]]] = Field({})
    horizons: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], AfterValidator(_told_apart)
    ] = Field([], max_length=50)
    middle: float | None = Field(None, gt=0, allow_inf_nan=False)


class _Part(FrozenModel):
    block: _Block
    names: list[_Text]
    batch_effects: bool
    beside: list[_Text] | None = None


class _Model(FrozenModel):
    name: _Name
    parts: list[_Part]
    predictor: Literal[
        "logistic",
        "constant",
        "forest",
        "boosting",
        "cox",
        "survival_forest",
        "kaplan_meier",
        "forest_beside_score",
        "boosting_beside_score",
        "survival_forest_beside_score",
    ]
    threshold: float = Field(allow_inf_nan=False)


class _Header(FrozenModel):
    format: int
    kind: Literal["subtype", "survival"]
    models: list[_Model]
    facts: _Facts


@dataclass(frozen=True)
class SavedModel:
    """Fitted models, and what is needed to apply them to another table.

    Attributes:
        kind: ``subtype`` or ``survival``.
        models: fitted models by name.
        facts: plain values on the table they were fitted on, its batches, classes and times, and
            the versions used.
        rows: (n, sets) salted hashes of the rows that they were fitted on
            (:mod:`pancseg.modelling.overlap`); empty where rows do not tell patients apart.
    """

    kind: str
    models: dict[str, PlainModel]
    facts: dict[str, Any]
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 0), np.int64))


def used_features(models: Mapping[str, PlainModel]) -> list[str]:
    """Return the names of the radiomics features that at least one model uses."""
    found: dict[str, None] = {}
    for model in models.values():
        weight_of = iter(model.weights)
        for part in model.parts:
            for name, weight in zip(part.names, weight_of, strict=False):
                if weight and part.block == RADIOMICS:
                    found[name] = None
    return list(found)


def helping_features(models: Mapping[str, PlainModel]) -> list[str]:
    """Return the names of the radiomics features by which missing values of others are estimated.

    A model can be applied without them: then they count as missing. Features of weight 0 are among
    them where the part has equations; those that a model uses for themselves are not.
    """
    used = set(used_features(models))
    parts = [part for model in models.values() for part in model.parts if part.block == RADIOMICS]
    helping = dict.fromkeys(
        name for part in parts if part.imputation for name in (*part.names, *part.beside)
    )
    return [name for name in helping if name not in used]


def columns_read(model: PlainModel) -> list[tuple[str, str]]:
    """Return block and name of the columns that a model uses or estimates missing values by."""
    found, weight_of = [], iter(model.weights)
    for part in model.parts:
        weights = [next(weight_of) for _ in part.names]
        found += [
            (part.block, name)
            for name, weight in zip(part.names, weights, strict=True)
            if weight or part.imputation is not None
        ]
        found += [(part.block, name) for name in part.beside]
    return found


def model_bytes(saved: SavedModel) -> bytes:
    """Return the content of a model file; the same model gives the same bytes."""
    arrays: dict[str, NDArray[Any]] = {_ROWS: saved.rows}
    models = []
    for number, (name, model) in enumerate(saved.models.items()):
        arrays |= named_arrays(model.predictor, f"{number}.predictor")
        arrays[f"{number}.weights"] = model.weights
        for place, part in enumerate(model.parts):
            arrays |= named_arrays(part.scaling, f"{number}.{place}.scaling")
            if part.effects is not None:
                arrays |= named_arrays(part.effects, f"{number}.{place}.effects")
            if part.imputation is not None:
                arrays |= named_arrays(part.imputation, f"{number}.{place}.imputation")
        kind = next(key for key, each in ALL_PREDICTORS.items() if type(model.predictor) is each)
        parts = [
            {
                "block": part.block,
                "names": list(part.names),
                "batch_effects": part.effects is not None,
                **({} if part.imputation is None else {"beside": list(part.beside)}),
            }
            for part in model.parts
        ]
        models.append(
            {"name": name, "parts": parts, "predictor": kind, "threshold": model.threshold}
        )
    parts_of = [part for model in saved.models.values() for part in model.parts]
    written = FORMAT if any(part.imputation for part in parts_of) else PLAIN_FORMAT
    header = {"format": written, "kind": saved.kind, "models": models, "facts": saved.facts}
    checked = _Header.model_validate(header)
    without = {"models": {"__all__": {"parts": {"__all__": {"beside"}}}}}
    text = checked.model_dump_json(exclude=without if written == PLAIN_FORMAT else None)
    return save(arrays, metadata={_KEY: text})


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """Load a fitted model for :func:`pancseg.predict`: plain numbers, each of them checked.

    Args:
        path: the folder that :func:`pancseg.fit_model` wrote, or its ``model.safetensors``.

    Raises:
        ValueError: no such file, not a model, a value that cannot be right, or another format.
        OSError: the file cannot be read.

    Example:
        >>> from pancseg import load_model
        >>> model = load_model("model")
        >>> model.kind
        'survival'
    """
    given = Path(path)
    file = given / MODEL_FILE if given.is_dir() else given
    if given.name == OLD_FILE or (given.is_dir() and not file.exists() and _has_old(given)):
        raise ValueError(_other_format("3 or earlier"))
    if not file.exists():
        raise ValueError(f"no {MODEL_FILE} found; give the folder that fitting a model wrote")
    return read_model(read_regular(file, MOST_BYTES))


def _has_old(folder: Path) -> bool:
    return (folder / OLD_FILE).exists()


def read_model(content: bytes) -> SavedModel:
    """Return the model in the content of a model file.

    Args:
        content: the bytes of the file.

    Raises:
        ValueError: not a model file, a value that cannot be right, or another format.
    """
    if content[:2] == b"PK":
        raise ValueError(_other_format("3 or earlier"))
    header = _header(content)
    try:
        arrays = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the model cannot be read: {_NO_MODEL}, or damaged") from error
    try:
        models: dict[str, PlainModel] = {
            each.name: _model(number, each, arrays) for number, each in enumerate(header.models)
        }
        _check(header, models)
        rows = arrays.get(_ROWS, np.empty((0, 0), np.int64))
        check_shape(_ROWS, rows, np.dtype(np.int64), (None, len(header.facts.row_columns)))
    except ValueError as error:
        raise ValueError(f"the model cannot be used: {error!s:.300}; fit it again") from error
    return SavedModel(header.kind, models, header.facts.model_dump(), rows)


def _header(content: bytes) -> _Header:
    """Return the checked JSON text in a file's header, whose length is looked at first."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(MOST_HEADER_BYTES, len(content) - 8):
        raise ValueError(f"the model cannot be read: {_NO_MODEL}, or damaged")
    try:
        text = json.loads(content[8 : 8 + length])["__metadata__"][_KEY]
        found = json.loads(text)["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"the model cannot be read: {_NO_MODEL}") from error
    if found not in (FORMAT, PLAIN_FORMAT):
        writer = re.search(r'"made_by":\s*"(pancseg [\w.+-]{1,40}), ', text)
        raise ValueError(_other_format(f"{found!r:.20}", f" ({writer[1]})" if writer else ""))
    try:
        return _Header.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where, reason = ".".join(map(str, first["loc"])), first["msg"]
        raise ValueError(f"the model cannot be read: {where:.100}: {reason:.200}") from error


def _model(number: int, about: _Model, arrays: dict[str, NDArray[Any]]) -> PlainModel:
    parts = []
    for place, part in enumerate(about.parts):
        scaling = from_arrays(Scaling, arrays, f"{number}.{place}.scaling")
        effects = (
            from_arrays(BatchEffects, arrays, f"{number}.{place}.effects")
            if part.batch_effects
            else None
        )
        names, beside = tuple(part.names), tuple(part.beside or ())
        imputation = (
            None
            if part.beside is None
            else from_arrays(Imputation, arrays, f"{number}.{place}.imputation")
        )
        parts.append(UsedColumns(part.block, names, scaling, effects, imputation, beside))
    predictor: Any = from_arrays(ALL_PREDICTORS[about.predictor], arrays, f"{number}.predictor")
    weights = arrays.get(f"{number}.weights", np.empty(0))
    return PlainModel(tuple(parts), predictor, weights, about.threshold)


def _check(header: _Header, models: dict[str, PlainModel]) -> None:
    """Refuse models that contradict each other or the facts."""
    facts = header.facts
    if len(models) != len(header.models) or not models:
        raise ValueError(f"{len(header.models)} models with {len(models)} names")
    if (facts.batches is None) != (facts.batch_column is None):
        raise ValueError("scanners or sites are named without their column, or the reverse")
    survival = header.kind == "survival"
    counts = len(facts.outcome), len(facts.classes)
    if counts != ((2, 0) if survival else (1, 2)) or bool(facts.times) != survival:
        raise ValueError(f"{counts[0]} outcome columns and {counts[1]} classes of {header.kind}")
    for name, model in models.items():
        if model.predictor.kind != header.kind:
            raise ValueError(f"{name} predicts {model.predictor.kind}, the others {header.kind}")
        if len(set(model.blocks)) != len(model.blocks):
            raise ValueError(f"{name} uses a block of columns twice")
        for part in model.parts:
            _check_batches(name, part, facts.batches)


def _check_batches(name: str, part: UsedColumns, batches: list[str] | None) -> None:
    if part.effects is None:
        return
    if part.block != RADIOMICS or batches is None or part.effects.batches[-1] >= len(batches):
        raise ValueError(f"{name} removes effects of a scanner or site that is not named")


def _other_format(found: str, writer: str = "") -> str:
    return (
        f"the model has format {found}, but the installed pancseg {__version__} reads formats "
        f"{PLAIN_FORMAT} and {FORMAT}; fit it again, or apply it with the version that wrote "
        f"it{writer}, which its settings.yaml names"
    )
