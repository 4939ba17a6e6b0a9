"""Read a settings file together with the preset or file that it extends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.features import DEFAULT_PRESET
from pancseg.system.yaml_file import read_yaml_mapping, shipped_names

OWN = "pancseg"
"""The key of everything that pyradiomics does not know."""
EXTENDS = "extends"
MOST_FILES = 8
"""A file may extend one that extends another, and so on; a longer chain is refused."""

_REPLACED = ("featureClass", "imageType")
_BINS = ("binWidth", "binCount")


class ExtendedFile(NamedTuple):
    """The settings of a file on top of those that it extends.

    Attributes:
        content: the merged keys, without ``extends``.
        base: name of the preset at the bottom; ``a file`` if that is not a preset; empty if the
            file extends nothing.
    """

    content: dict[str, Any]
    base: str


def read_extended(path: Path, what: str, presets: Path) -> ExtendedFile:
    """Read a settings file and everything that it extends.

    ``extends``, at the top level or under ``pancseg``, is a preset's name or the name of a file in
    the same folder. A file with nothing but limits, ``thick_slices`` or ``ibsi`` extends the
    default preset, because there is nothing else that they could belong to. Mappings are merged key
    by key; all other values, lists and null among them, replace those of the base. ``featureClass``
    and ``imageType`` are replaced as a whole, since each lists all that is computed, and
    ``binWidth`` and ``binCount`` replace one another. A heading without content changes nothing.

    Args:
        path: the file.
        what: name of the file in messages.
        presets: folder of the shipped presets.

    Raises:
        ValueError: a file is not a YAML mapping; or ``extends`` names nothing that exists, leads
            back to a file, or through more than :data:`MOST_FILES` files. One line.
    """
    chain: list[dict[str, Any]] = []
    seen: list[Path] = []
    base, next_path = "", path
    while True:
        if len(seen) == MOST_FILES:
            raise ValueError(f"{what}: `extends` leads through more than {MOST_FILES} files")
        seen.append(next_path.resolve())
        name = what if not chain else f"a file that {what} extends"
        content = read_yaml_mapping(next_path, name)
        wanted = _pop_extends(content, what)
        chain.append(content)
        if wanted is None:
            break
        base, next_path = _located(wanted, next_path.parent, what, presets)
        if next_path.resolve() in seen:
            raise ValueError(f"{what}: `extends` leads back to the same file")
    merged: dict[str, Any] = {}
    for content in reversed(chain):
        merged = _merged(merged, content)
    return ExtendedFile(merged, base)


def _pop_extends(content: dict[str, Any], what: str) -> str | None:
    """Remove ``extends`` and return it; without it, the default preset for limits alone."""
    given = [content.pop(EXTENDS)] if EXTENDS in content else []
    own = content.get(OWN)
    if isinstance(own, dict) and EXTENDS in own:
        own = content[OWN] = dict(own)  # an alias may stand for it elsewhere
        given.append(own.pop(EXTENDS))
    if len(given) > 1:
        raise ValueError(f"{what}: `extends` is given twice, also under {OWN}; leave one out")
    if not given:
        alone = not content.keys() - {OWN} and not (isinstance(own, dict) and "mode" in own)
        return DEFAULT_PRESET if alone else None
    if not isinstance(given[0], str):
        raise ValueError(f"{what}: `extends` takes one name, of a preset or of a file beside it")
    return given[0]


def _located(wanted: str, folder: Path, what: str, presets: Path) -> tuple[str, Path]:
    """Return the name and the path of a preset, or of a file in the folder."""
    names = shipped_names(presets)
    if wanted in names:
        return wanted, presets / f"{wanted}.yaml"
    beside = "/" not in wanted and "\\" not in wanted and "\0" not in wanted
    try:
        if beside and wanted and (folder / wanted).is_file():
            return "a file", folder / wanted
    except OSError:  # a name that is too long
        pass
    raise ValueError(
        f"{what}: `extends` names neither a preset nor a file in the same folder; the presets are "
        + ", ".join(names)
    )


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's keys on top of those that it extends."""
    merged = dict(base)
    for key, value in own.items():
        if value is None and base.get(key) is not None:
            continue
        whole = key in _REPLACED
        merged[key] = value if whole else _on_top(base.get(key), value)
    return merged


def _on_top(base: Any, own: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    kept = dict(base)
    for key, other in (_BINS, _BINS[::-1]):
        if own.get(key) is not None and other not in own:
            kept.pop(other, None)
    return kept | {key: _on_top(base.get(key), value) for key, value in own.items()}
