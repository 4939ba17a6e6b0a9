"""Load YAML 1.2 within limits: of size, depth, aliases and numbers, and without foreign objects.

The numbers and texts are those of YAML 1.2's core schema, as pyradiomics reads them: ``1e-6`` is a
number, ``04:00:00`` and ``2020-01-01`` are text, ``010`` is ten. ``yes``, ``no``, ``on`` and
``off`` still mean true and false, and ``<<`` merges a mapping.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, cast

import yaml

from pancseg.system.text.excerpt import excerpt

LONGEST_BYTES = 1 << 20
LONGEST_TEXT = 10_000
"""Characters of one value."""
LONGEST_NUMBER = 100
"""Characters of one number."""
DEEPEST = 32
MOST_VALUES = 100_000
"""Values of a file, each counted as often as aliases repeat it."""

_TAG = "tag:yaml.org,2002:"
_TRUE = ("true", "yes", "on")
_BOOL = re.compile(
    r"(?:true|True|TRUE|yes|Yes|YES|on|On|ON|false|False|FALSE|no|No|NO|off|Off|OFF)\Z"
)
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_INT = re.compile(r"(?:[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_MERGE = re.compile(r"<<\Z")


class YamlRefused(yaml.YAMLError):
    """A file that is YAML, but beyond what settings are; the message is one short line."""


def load_yaml(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        YamlRefused: a mapping has the same key twice, or the text is beyond the limits above.
        yaml.YAMLError: the text is not YAML.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  PyYAML's safe loader, with fewer types
    except RecursionError as error:  # in PyYAML's own code; no input is known that gets there
        raise YamlRefused("it is nested too deeply") from error


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the core schema of YAML 1.2, the limits, and unique keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's way
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._values = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        """Return the next value, counted, unless it is too deep or there are too many.

        Raises:
            YamlRefused: a limit is exceeded, or a value contains itself.
        """
        alias = self.check_event(yaml.AliasEvent)
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        line = _line(event.start_mark)
        before = self._values
        self._depth += 1
        if self._depth > DEEPEST:
            raise YamlRefused(f"{line} is nested more than {DEEPEST} levels deep")
        node = cast(yaml.Node, super().compose_node(parent, index))
        self._depth -= 1
        if not alias:
            self._sizes[id(node)] = 1 + self._values - before
        elif id(node) not in self._sizes:
            raise YamlRefused(f"the alias on {line} is part of what it repeats")
        self._values = before + self._sizes[id(node)]
        if self._values > MOST_VALUES:
            raise YamlRefused(f"it has more than {MOST_VALUES:,} values, counting repeated ones")
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Return a single value.

        Raises:
            YamlRefused: it is too long.
        """
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if len(event.value) > LONGEST_TEXT:
            raise YamlRefused(
                f"{_line(event.start_mark)} has a text of {len(event.value):,} characters (at most "
                f"{LONGEST_TEXT:,})"
            )
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping as written, before other mappings are merged into it.

        Raises:
            YamlRefused: the mapping has the same key twice; PyYAML would take the last one.
        """
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != f"{_TAG}merge":
                if (key.tag, key.value) in seen:
                    again = _line(key.start_mark)
                    raise YamlRefused(f"'{excerpt(key.value)}' is given twice, again on {again}")
                seen.add((key.tag, key.value))
        return node


def _refused(node: yaml.Node, kind: str) -> YamlRefused:
    return YamlRefused(f"'{excerpt(node.value)}' on {_line(node.start_mark)} is not {kind}")


def _text(loader: _Loader, node: yaml.ScalarNode, pattern: re.Pattern[str], kind: str) -> str:
    text = str(loader.construct_scalar(node))
    if not pattern.match(text):  # only where the file says !!int or the like
        raise _refused(node, kind)
    if len(text) > LONGEST_NUMBER:
        raise _refused(node, f"{kind} of at most {LONGEST_NUMBER} characters")
    return text


def _bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    return _text(loader, node, _BOOL, "true or false").lower() in _TRUE


def _null(loader: _Loader, node: yaml.ScalarNode) -> None:
    _text(loader, node, _NULL, "null")


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = _text(loader, node, _INT, "a whole number").replace("_", "")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = _text(loader, node, _FLOAT, "a number").replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _unknown(loader: _Loader, node: yaml.Node) -> None:
    tag = excerpt(node.tag.replace(_TAG, "!!"))
    raise YamlRefused(f"{_line(node.start_mark)} has the tag '{tag}'; leave it out")


for _name, _pattern, _first in (
    ("bool", _BOOL, "yYnNtTfFoO"),
    ("null", _NULL, ["~", "n", "N", ""]),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("merge", _MERGE, "<"),
):
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, list(_first))
for _name, _construct in {
    "bool": _bool, "null": _null, "int": _int, "float": _float,
    "str": yaml.SafeLoader.construct_yaml_str, "seq": yaml.SafeLoader.construct_yaml_seq,
    "map": yaml.SafeLoader.construct_yaml_map,
}.items():  # fmt: skip
    _Loader.add_constructor(_TAG + _name, _construct)
_Loader.add_constructor(None, _unknown)
