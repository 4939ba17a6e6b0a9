"""Read settings from YAML files, all by the same rules and with one-line errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

Settings = TypeVar("Settings", bound=BaseModel)


class FrozenModel(BaseModel):
    """A pydantic model that is immutable and refuses unknown keys.

    Example:
        >>> class Recipe(FrozenModel):
        ...     epochs: int
        >>> Recipe(epochs=3).epochs
        3
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def read_yaml_mapping(path: Path, what: str) -> dict[str, Any]:
    """Return the settings of a YAML (or JSON) file.

    Numbers follow YAML 1.2, as in pyradiomics: ``1e-6`` and ``1e1`` are numbers, where YAML 1.1
    reads text. A mapping must not have the same key twice, at any depth.

    Args:
        path: the file.
        what: name of the file in messages. Its path is not shown: it may name a patient.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not YAML, has a key twice, is not a mapping, or has a key that is
            not text. The message is one line.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Yaml12Loader)
    except _RepeatedKey as error:
        raise ValueError(f"{what}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{what} holds no settings (expected 'key: value' lines)")
    if others := [key for key in content if not isinstance(key, str)]:
        raise ValueError(f"{what}: the key {others[0]!r} is not text; put it in quotes")
    return content


def settings_of(
    kind: type[Settings], content: object, what: str, under: Sequence[str] = ()
) -> Settings:
    """Return a settings object made from the content of a file.

    Args:
        kind: class of the settings.
        content: key → value.
        what: name of the file in messages.
        under: keys of the file that lead to ``content``, if it is not the whole file.

    Raises:
        ValueError: a key is unknown or has an invalid value. One line names all such keys.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, (*under, *each['loc']))) or 'the file'}: "
            + each["msg"].removeprefix("Value error, ")
            for each in error.errors()
        )
        raise ValueError(f"{what}: {problems}") from error


def shipped_names(folder: Path) -> list[str]:
    """Return the names of the YAML files in a folder that comes with pancseg."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def shipped_or_own(name_or_path: str | Path, folder: Path, kind: str) -> Path:
    """Return the path of a YAML file, given by its path or by the name of a shipped file.

    Args:
        name_or_path: stem of a file in ``folder``, or a path.
        folder: folder of the files that come with pancseg.
        kind: what such a file is called in messages, such as ``preset``.

    Raises:
        FileNotFoundError: ``name_or_path`` is neither.
    """
    names = shipped_names(folder)
    path = folder / f"{name_or_path}.yaml" if str(name_or_path) in names else Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no such {kind} or file; give a YAML file, or one of the {kind}s {', '.join(names)}"
        )
    return path


class _RepeatedKey(yaml.YAMLError):
    """A mapping has the same key twice; PyYAML would silently take the last one."""


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but with the floats of YAML 1.2, and refusing repeated keys."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping as written, before other mappings are merged into it.

        Raises:
            _RepeatedKey: the mapping has the same key twice.
        """
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    line = key.start_mark.line + 1
                    raise _RepeatedKey(f"{key.value!r} is given twice, again on line {line}")
                seen.add((key.tag, key.value))
        return node


_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
