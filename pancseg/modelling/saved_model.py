"""Owns ``model.skops``: fitted models as data that is read without running anybody's code.

skops stores values and names of types; loading builds only types listed here, so that a file from a
stranger can be wrong but cannot run anything. A pickle or joblib file could.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
import skops.io.exceptions

import pancseg
from pancseg.modelling.validation.nested_cv import FittedModel

FORMAT = 3
MODEL_FILE = "model.skops"
TRUSTED = [
    "pancseg.modelling.estimators.combat.ComBat",
    "pancseg.modelling.estimators.cox.CoxElasticNet",
    "pancseg.modelling.estimators.cox.NoPredictors",
    "pancseg.modelling.estimators.cox_solver.score_test",
    "pancseg.modelling.estimators.preparation.Cleaned",
    "pancseg.modelling.estimators.preparation.Strongest",
    "pancseg.modelling.estimators.preparation.Unredundant",
    "pancseg.modelling.estimators.preparation.Varied",
    "pancseg.modelling.subtype.auc_distance",
    "pancseg.modelling.estimators.survival_forest.MartingaleForest",
    "numpy.dtype",
]
"""Types of ours and harmless ones."""
TREES = [
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]
"""Types of forests: scikit-learn walks their arrays without checks, so forged ones can crash it."""


@dataclass(frozen=True)
class SavedModel:
    """What ``predict`` needs.

    Attributes:
        kind: subtype or survival.
        models: fitted recipes by name.
        facts: the table it was fitted on, batches, classes, times, versions: plain values.
    """

    kind: str
    models: dict[str, FittedModel]
    facts: dict[str, Any]


def model_bytes(saved: SavedModel) -> bytes:
    """Return a model as a file's content; the same model gives the same bytes."""
    models = {
        name: {
            "preparations": list(fitted.preparations),
            "blocks": list(fitted.blocks),
            "model": fitted.model,
            "columns": list(fitted.columns),
            "weights": np.asarray(fitted.weights, dtype=float),
            "threshold": float(fitted.threshold),
            "choice": int(fitted.choice),
        }
        for name, fitted in saved.models.items()
    }
    content = {"format": FORMAT, "kind": saved.kind, "models": models, "facts": saved.facts}
    return _reproducible(skops.io.dumps(content))


def load_model(path: str | os.PathLike[str], *, trust_model: bool = False) -> SavedModel:
    """Load a fitted model for :func:`pancseg.predict`.

    Args:
        path: the folder that :func:`pancseg.fit_model` wrote, or its ``model.skops``.
        trust_model: load forests too, which can crash scikit-learn when forged; only for models
            from people whom you trust.

    Raises:
        ValueError: no model there, a type that is not trusted, or another format.
        OSError: the file cannot be read.

    Example:
        >>> from pancseg import load_model
        >>> model = load_model("model")
        >>> model.kind
        'survival'
    """
    file = Path(path)
    if file.is_dir():
        file = file / MODEL_FILE
    if not file.is_file():
        raise ValueError(f"there is no {MODEL_FILE}; give the folder that fitting a model wrote")
    return read_model(file.read_bytes(), trust_model)


def read_model(content: bytes, trust_model: bool = False) -> SavedModel:
    """Return a model from a file's content.

    Args:
        content: the file's.
        trust_model: whoever made it is trusted with forests too.

    Raises:
        ValueError: no such file, a type that is not trusted, another format.
    """
    try:
        _check_format(content)
        asked = set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED)
        if asked & set(TREES) and not trust_model:
            raise ValueError(
                "the model holds trees, which can crash scikit-learn when forged; if you trust "
                "whoever made it, set `trust_model`"
            )
        unknown = asked - set(TREES)
        if unknown:
            raise ValueError(
                f"the model asks for {len(unknown)} types that pancseg does not write, such as "
                f"{min(unknown)}; it is not loaded"
            )
        found = skops.io.loads(content, trusted=[*TRUSTED, *TREES])
    except (
        zipfile.BadZipFile,
        KeyError,
        TypeError,
        json.JSONDecodeError,
        UnicodeDecodeError,
    ) as error:
        raise ValueError("model.skops is no model that pancseg wrote") from error
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise ValueError("the model holds types that pancseg does not write") from error
    models = {
        name: FittedModel(
            tuple(part["preparations"]),
            tuple(part["blocks"]),
            part["model"],
            tuple(part["columns"]),
            part["weights"],
            part["threshold"],
            part["choice"],
        )
        for name, part in found["models"].items()
    }
    return SavedModel(found["kind"], models, found["facts"])


def _check_format(content: bytes) -> None:
    """Refuse another format before skops sees its types, whose names change between formats."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = archive.read("schema.json").decode()
    found = json.loads(json.loads(schema)["content"]["format"]["content"])
    if found == FORMAT:
        return
    writer = re.search(r'"content": "\\"(pancseg [\w.+-]{1,40}), ', schema)
    known = f" ({writer[1]} as it was then)" if writer else ""
    raise ValueError(
        f"model.skops has format {found!r:.20}, and pancseg {pancseg.__version__} as installed "
        f"reads format {FORMAT}; read it with the version that wrote it{known} or fit it again"
    )


def _reproducible(content: bytes) -> bytes:
    """Number skops's object ids (memory addresses) in order and take out the time of day."""
    source = zipfile.ZipFile(io.BytesIO(content))
    schema = source.read("schema.json").decode()
    numbers: dict[str, str] = {}

    def renamed(number: str) -> str:
        return numbers.setdefault(number, str(len(numbers) + 1))

    ids = sorted(set(re.findall(r'"__id__": (\d+)', schema)), key=schema.index)
    files = re.findall(r'"file": "(\d+)\.', schema)
    known = re.compile(r"\b(" + "|".join(dict.fromkeys([*ids, *files])) + r")\b")
    schema = re.sub(r'("__id__": |"file": ")(\d+)', lambda m: m[1] + renamed(m[2]), schema)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as written:
        for name in source.namelist():
            data = schema.encode() if name == "schema.json" else source.read(name)
            new = name if name == "schema.json" else known.sub(lambda m: renamed(m[0]), name)
            written.writestr(zipfile.ZipInfo(new, (1980, 1, 1, 0, 0, 0)), data)
    return target.getvalue()
