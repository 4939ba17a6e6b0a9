"""YAML files → frozen settings, shipped with pancseg or the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(
    kind: type[Settings],
    name_or_path: str,
    folder: str,
    changes: Mapping[str, object] = MappingProxyType({}),
) -> Settings:
    """Read ``pancseg/training/<folder>/<name>.yaml``, or the YAML file at a path, with changes.

    Raises:
        FileNotFoundError: neither a shipped name nor a file.
        ValueError: not YAML, an unknown key or a value out of range; says which.
    """
    resource = files("pancseg.training") / folder / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if resource.is_file():
        text = resource.read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        known = ", ".join(shipped_names(folder))
        raise FileNotFoundError(
            f"nothing called {path.name!r} among the {folder}: shipped are {known}, or give a file"
        )
    try:
        written = yaml.safe_load(text)
        if not isinstance(written, dict):
            raise ValueError(f"{path.name} holds no settings (expected 'key: value' lines)")
        return kind.model_validate({**written, **changes})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path.name}: {where}: {reason}") from error


def shipped_names(folder: str) -> list[str]:
    """Return the names of the YAML files that come with pancseg in a folder."""
    entries = (files("pancseg.training") / folder).iterdir()
    return sorted(e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml"))
