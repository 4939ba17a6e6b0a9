"""Read and write ``model.skops``: fitted models in a file that cannot run code when it is loaded.

skops stores values and names of types, and loading builds only the types listed here. A file from a
stranger can therefore be wrong, but cannot run anything; a pickle or joblib file could.
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

from pancseg.modelling.validation.nested_cv import FittedModel
from pancseg.system.version import __version__

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
"""Types that a file may contain: pancseg's own, and harmless ones."""
TREES = [
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]
"""Types of trees: scikit-learn follows their indices unchecked, so a forged one can crash it."""


@dataclass(frozen=True)
class SavedModel:
    """Fitted models, and what is needed to apply them to another table.

    Attributes:
        kind: ``subtype`` or ``survival``.
        models: fitted models by name.
        facts: plain values on the table they were fitted on, its batches, classes and times, and
            the versions used.
    """

    kind: str
    models: dict[str, FittedModel]
    facts: dict[str, Any]


def model_bytes(saved: SavedModel) -> bytes:
    """Return the content of a model file; the same model gives the same bytes."""
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
        trust_model: load forests too, which can crash scikit-learn when forged; set it only for
            models from people whom you trust.

    Raises:
        ValueError: no such file, a type that is not trusted, or another format.
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
        raise ValueError(f"no {MODEL_FILE} found; give the folder that fitting a model wrote")
    return read_model(file.read_bytes(), trust_model)


def read_model(content: bytes, trust_model: bool = False) -> SavedModel:
    """Return the model in the content of a model file.

    Args:
        content: the bytes of the file.
        trust_model: load forests too; see :func:`load_model`.

    Raises:
        ValueError: not a model file, a type that is not trusted, or another format.
    """
    try:
        _check_format(content)
        types = set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED)
        if types & set(TREES) and not trust_model:
            raise ValueError(
                "the model contains trees, which can crash scikit-learn when forged; if you trust "
                "its author, set `trust_model`"
            )
        unknown = types - set(TREES)
        if unknown:
            raise ValueError(
                f"the model was not loaded: it contains {len(unknown)} types that pancseg does not "
                f"write, such as {min(unknown)}; use a model that pancseg wrote"
            )
        found = skops.io.loads(content, trusted=[*TRUSTED, *TREES])
    except (
        zipfile.BadZipFile,
        KeyError,
        TypeError,
        json.JSONDecodeError,
        UnicodeDecodeError,
    ) as error:
        raise ValueError("model.skops is not a model that pancseg wrote") from error
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise ValueError(
            "the model contains types that pancseg does not write; use a model that pancseg wrote"
        ) from error
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
    known = f" ({writer[1]} at that time)" if writer else ""
    raise ValueError(
        f"model.skops has format {found!r:.20}, but the installed pancseg {__version__} "
        f"reads format {FORMAT}; read it with the version that wrote it{known}, or fit it again"
    )


def _reproducible(content: bytes) -> bytes:
    """Renumber skops's object ids (memory addresses) from 1, and remove the time stamps."""
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
