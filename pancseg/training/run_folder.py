"""Record what a training was started with, so that only the same training resumes in its folder."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from pancseg.system.output_folder import check_output_folder
from pancseg.system.version import __version__
from pancseg.system.whole_files import write_whole
from pancseg.system.yaml_file import read_yaml_mapping
from pancseg.training.data.load import TrainingData
from pancseg.training.recipe import Recipe

PACKAGES = ("torch", "lightning", "monai", "numpy", "SimpleITK")


def begin(run: Path, recipe: Recipe, data: TrainingData) -> None:
    """Write the effective recipe, the split and the data's fingerprint, or compare them.

    Raises:
        ValueError: the folder belongs to a training with another recipe or other data, or is not
            pancseg's.
    """
    check_output_folder(run)
    run.mkdir(parents=True, exist_ok=True)
    about = {
        "fingerprint": data.fingerprint(),
        "patients": {"train": len(data.split.train), "val": len(data.split.val)},
        "slices": {p: sum(s.split == p for s in data.slices) for p in ("train", "val")},
        "shares": data.shares,
        "window_hu": data.preprocessing.window_hu,
    }
    texts = {
        "recipe": yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False),
        "data": json.dumps(about, indent=1) + "\n",
    }
    files = {"recipe": run / "recipe.yaml", "data": run / "data.json"}
    if files["recipe"].exists() and _recipe(files["recipe"]) != recipe:
        raise ValueError("the run folder belongs to another recipe; choose a new `run` folder")
    if files["data"].exists() and files["data"].read_bytes() != texts["data"].encode():
        raise ValueError("the run folder belongs to other data; choose a new `run` folder")
    write_whole({path: texts[what].encode() for what, path in files.items()})
    data.split.write(run / "split.json")


def _recipe(path: Path) -> Recipe | None:
    """Return the recipe of a run, with defaults for keys that are newer than the run."""
    try:
        return Recipe.model_validate(read_yaml_mapping(path, path.name))
    except ValueError:
        return None


def note_environment(run: Path, settings: dict[str, Any]) -> None:
    """Write ``environment.json``: versions, hardware and settings of the run's latest start."""
    about = {
        "pancseg": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        **settings,
    }
    write_whole({run / "environment.json": (json.dumps(about, indent=1) + "\n").encode()})
