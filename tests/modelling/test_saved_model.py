"""A saved model predicts what was fitted, and a forged one is refused in one line."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save
from small_studies import classes, features, study, times

from pancseg.modelling import subtype, survival
from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec
from pancseg.modelling.estimators.preparation import plain_preparation
from pancseg.modelling.plain import trees
from pancseg.modelling.plain.from_fitted import plain_model
from pancseg.modelling.saved_model import (
    MOST_HEADER_BYTES,
    SavedModel,
    load_model,
    model_bytes,
    read_model,
)

FACTS = {
    "origin": {
        "features": [], "settings": None, "region": None, "volume": None, "group": None,
        "levels": {}, "grids": [],
    },
    "batches": None, "batch_column": None, "exclude_warn": False, "outcome": ["grade"],
    "classes": ["low", "high"], "others": ["low"], "event_is": None, "times": [], "patients": 100,
    "made_by": "pancseg 1, numpy 2", "median_time": None, "row_columns": [], "salt": "",
    "competing": [],
}  # fmt: skip


def fitted(kind="subtype", model="elastic-net", *, batch=False, gaps=False):
    """A plan, and its models fitted on all rows: the declared one, the plain one, and chance."""
    x = features(1, n=80, p=12)
    y = (times if kind == "survival" else classes)(x, 2.0, 1)
    if gaps:
        x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    codes = np.arange(80) % 3 if batch else None
    plan = study(x, y, model, batch=codes)
    task = survival if kind == "survival" else subtype
    algorithm = task.MODELS[model]
    few = FeatureBlock(x[:, 3:5], ("v", "w"), plain_preparation())
    blocks = {**plan.blocks, "volume only": few}
    specs = [
        *plan.specs,
        ModelSpec("volume only", ("volume only",), algorithm.few(25, 0)),
        ModelSpec(
            "clinical + radiomics", ("volume only",), algorithm.few(25, 0, 3), 0, "radiomics"
        ),
        ModelSpec("chance", (), task.chance()),
    ]
    plan = type(plan)(**{**vars(plan), "specs": specs, "blocks": blocks})
    return plan, fit_specs(plan, np.arange(80), 0)


def saved_of(plan, models, kind="subtype", batch=False):
    names = {name: block.names for name, block in plan.blocks.items()}
    facts = FACTS | {"outcome": ["t", "e"], "classes": [], "times": [1.0]}
    facts = FACTS if kind == "subtype" else facts
    if batch:
        facts = facts | {"batches": ["a", "b", "c"], "batch_column": "site"}
    return SavedModel(kind, {k: plain_model(m, names) for k, m in models.items()}, facts)


@pytest.mark.parametrize(
    ("kind", "model"),
    [(kind, model) for kind, task in (("subtype", subtype), ("survival", survival))
     for model in task.MODELS],
)  # fmt: skip
@pytest.mark.parametrize("batch", [False, True])
def test_a_saved_model_predicts_what_the_fitted_one_does(kind, model, batch):
    plan, models = fitted(kind, model, batch=batch, gaps=True)
    content = model_bytes(saved_of(plan, models, kind, batch))
    read = read_model(content)
    assert model_bytes(read) == content
    block = plan.blocks["radiomics"]
    values = pd.DataFrame(block.x[:, int(batch) :], columns=list(block.names))
    few = plan.blocks["volume only"]
    frames = {"radiomics": values, "volume only": pd.DataFrame(few.x, columns=list(few.names))}
    codes = block.x[:, 0].astype(np.int64) if batch else None
    grid = np.array(survival.time_grid(plan.y)) if kind == "survival" else None
    for name, model_ in models.items():
        plain = read.models[name]
        x = plain.prepared(frames, codes, len(values))
        seen = model_.prepared({name: each.x for name, each in plan.blocks.items()})
        expected = plan.task.predict(model_.model, seen)
        np.testing.assert_allclose(plain.predictor.score(x), expected, rtol=1e-12)
        assert plain.threshold == model_.threshold
        used = [(c, w) for c, w in zip(model_.columns, model_.weights, strict=True) if w]
        again = [(c, w) for c, w in zip(plain.columns, plain.weights, strict=True) if w]
        assert again == used
        if grid is not None:
            curves = survival.SurvivalTask(tuple(grid), (), 0.0).curves(model_.model, seen)
            np.testing.assert_allclose(plain.predictor.event_free(x, grid), curves, rtol=1e-12)


def test_a_batch_that_the_model_does_not_know_is_refused():
    plan, models = fitted(batch=True)
    plain = saved_of(plan, models, batch=True).models["radiomics"]
    values = pd.DataFrame(
        plan.blocks["radiomics"].x[:2, 1:], columns=list(plan.blocks["radiomics"].names)
    )
    with pytest.raises(ValueError, match="1 patients are of a scanner or site that the model has"):
        plain.prepared({"radiomics": values}, np.array([0, -1]), 2)


@pytest.fixture(scope="module")
def forest():
    plan, models = fitted(model="random-forest")
    return model_bytes(saved_of(plan, models))


@pytest.fixture(scope="module")
def linear():
    plan, models = fitted(batch=True)
    return model_bytes(saved_of(plan, models, batch=True))


def forged(content, arrays=None, header=None):
    """The model with some arrays replaced (None: left out) and with a changed header."""
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    about = json.loads(metadata["pancseg_model"])
    if header:
        header(about)
    found = load(content)
    for name, change in (arrays or {}).items():
        value = change(found.pop(name).copy())
        if value is not None:
            found[name] = np.ascontiguousarray(value)
    return save(found, metadata={"pancseg_model": json.dumps(about)})


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


TREES = "0.predictor.trees"


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("left", put(0, 10**9), "left contains numbers from"),
        ("left", put(0, -5), "left contains numbers from -5"),
        ("right", lambda a: a[::-1].copy(), "child is not a later node of the same tree"),
        ("left", put(1, 1), "child is not a later node of the same tree"),
        ("right", put(0, 2), "has two parents|not a later node"),
        ("feature", put(0, 10**12), "the model needs 1000000000001 columns, but 12 are prepared"),
        ("feature", put(0, -1), "feature contains numbers from -1"),
        ("feature", lambda a: a.astype(np.float64), "feature is .* float64"),
        ("left", lambda a: a[:-1], "left is "),
        ("value", put(3, np.nan), "value contains values that are not finite"),
        ("value", put(3, 1.5), "value contains values outside 0–1"),
        ("value", lambda a: a[:0], "there is no tree"),
        ("roots", lambda a: a[:0], "there is no tree"),
        ("roots", put(1, 0), "roots are not in rising order"),
        ("threshold", put(0, np.inf), "threshold contains values that are not finite"),
        ("threshold", lambda _: None, "the array 0.predictor.trees.threshold is missing"),
    ],
)
def test_forged_trees_are_refused(forest, name, change, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        read_model(forged(forest, {f"{TREES}.{name}": change}))
    assert str(caught.value).startswith("the model cannot be used: ")
    assert "\n" not in str(caught.value)


def test_a_tree_of_too_many_levels_is_refused(monkeypatch):
    chain = np.arange(1, 60, 2)
    left, right = np.zeros((2, 61), dtype=np.int64)
    left[chain - 1], right[chain - 1] = chain, chain + 1
    arrays = [np.zeros(1, np.int64), left * 0, left * 0.0, left, right, left * 0.0]
    assert trees.Trees(*arrays).columns() == 1
    monkeypatch.setattr(trees, "MOST_LEVELS", 30)
    with pytest.raises(ValueError, match="a tree has more than 30 levels"):
        trees.Trees(*arrays)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("0.predictor.coefficients", lambda a: a[:-1], "the model needs"),
        ("0.predictor.coefficients", put(0, np.inf), "coefficients contains values that are not"),
        ("0.predictor.coefficients", lambda a: a[:, None], "coefficients is 2×1 float64"),
        ("0.predictor.intercept", lambda a: a[:0], "intercept is 0 float64"),
        ("0.0.scaling.spread", lambda a: a * 0, "spread contains values that are not positive"),
        ("0.0.scaling.low", put(0, 1e308), "low contains values above those of high"),
        ("0.0.scaling.high", lambda a: a[:0], "high is 0 float64"),
        ("training_rows", lambda a: a.astype(np.float64), "training_rows is 0×0 float64"),
        ("training_rows", lambda a: np.zeros((3, 1), np.int64), "training_rows is 3×1 int64"),
        ("0.0.scaling.median", lambda a: a[:-1], "centre is 2 float64 .expected 1 float64"),
        ("0.0.effects.batches", put(0, -1), "batches contains numbers from -1"),
        ("0.0.effects.batches", put(2, 7), "a scanner or site that is not named"),
        ("0.0.effects.shift", lambda a: a[:, :-1], "shift is 3×1 float64 .expected 3×2 float64"),
        ("0.weights", lambda _: None, "weights is 0 float64"),
        ("3.predictor.share", put(0, 1.2), "share contains values outside 0–1"),
    ],
)
def test_forged_numbers_are_refused(linear, name, change, problem):
    with pytest.raises(ValueError, match=problem):
        read_model(forged(linear, {name: change}))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda h: h.update(format=3), "the model has format 3, but the installed pancseg"),
        (lambda h: h.update(format="x" * 99), "the model has format 'x{19}, but"),
        (lambda h: h.update(kind="magic"), "kind: Input should be 'subtype' or 'survival'"),
        (lambda h: h.update(kind="survival"), "1 outcome columns and 2 classes of survival"),
        (lambda h: h.update(more=1), "more: Extra inputs"),
        (lambda h: h.pop("facts"), "facts: Field required"),
        (lambda h: h["facts"].pop("batches"), "facts.batches: Field required"),
        (lambda h: h["facts"].update(batches=None), "without their column"),
        (lambda h: h["facts"].update(times=[float("inf")]), "facts.times.0: Input should be"),
        (lambda h: h["facts"].update(times=[1.0]), "1 outcome columns and 2 classes"),
        (lambda h: h["facts"]["origin"].update(levels=5), "facts.origin.levels: Input should be"),
        (lambda h: h["models"][0].update(predictor="os.system"), "models.0.predictor: Input"),
        (lambda h: h["models"][0].update(predictor="cox"), "0.predictor.mean is missing"),
        (lambda h: h["models"][0].update(name="=cmd|' /C calc'!A1"), "models.0.name: Input"),
        (lambda h: h["models"][1].update(name="radiomics"), "4 models with 3 names"),
        (lambda h: h["models"][0].update(threshold=None), "models.0.threshold: Input should be"),
        (lambda h: h.update(models=[]), "0 models with 0 names"),
        (lambda h: h["models"][0]["parts"][0].update(names=[]), "0 columns are named, but 2 are"),
        (lambda h: h["models"][0]["parts"][0].update(block="x"), "parts.0.block: Input should be"),
        (lambda h: h["models"][0]["parts"][0].update(names=["a" * 100_001]), "at most 100000"),
    ],
)  # fmt: skip
def test_a_forged_header_is_refused(linear, change, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        read_model(forged(linear, header=change))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def framed(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04N.",
        b"\0" * 7,
        (10**12).to_bytes(8, "little") + b"{}",
        (MOST_HEADER_BYTES + 1).to_bytes(8, "little") + b"{" + b" " * MOST_HEADER_BYTES,
        framed(b"\xff"),
        framed(b"[]"),
        framed(b"{}"),
        framed(b'{"__metadata__": 5}'),
        framed(b'{"__metadata__": {"pancseg_model": 5}}'),
        framed(b'{"__metadata__": {"pancseg_model": "5"}}'),
        framed(b'{"__metadata__": {"pancseg_model": "' + b"[" * 200_000 + b'"}}'),
        framed(b"[" * 200_000),
    ],
)
def test_what_is_no_model_is_refused(content):
    with pytest.raises(ValueError, match="the model cannot be read: it is not a model"):
        read_model(content)


def test_tensors_that_contradict_the_file_are_refused(linear):
    for content in (linear[:-8], linear + b"\0" * 8, linear.replace(b'"F64"', b'"F32"')):
        with pytest.raises(ValueError, match="not a model that pancseg wrote, or damaged"):
            read_model(content)


def test_a_model_of_before_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "model.skops").write_bytes(b"PK\x03\x04 whatever")
    line = "the model has format 3 or earlier, .*; fit it again, or apply it with the version"
    for given in (tmp_path, tmp_path / "model.skops"):
        with pytest.raises(ValueError, match=line):
            load_model(given)
    renamed = tmp_path / "model.safetensors"
    (tmp_path / "model.skops").rename(renamed)
    with pytest.raises(ValueError, match=line):
        load_model(tmp_path)


def test_what_never_ends_is_not_read(tmp_path):
    (tmp_path / "holes").mkdir()
    with open(tmp_path / "holes" / "model.safetensors", "wb") as file:
        file.truncate(200 << 30)
    with pytest.raises(OSError, match="larger than 512 MiB"):
        load_model(tmp_path / "holes")
    os.mkfifo(tmp_path / "model.safetensors")
    for given in (tmp_path, tmp_path / "model.safetensors", "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            load_model(given)
