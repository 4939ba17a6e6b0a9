"""Reads YAML files."""

from __future__ import annotations

from typing import Any

import yaml


class Yaml12Loader(yaml.SafeLoader):
    """Reads 1e-6 and 1e1 as numbers, as YAML 1.2 and pyradiomics do; to YAML 1.1 they are text.

    A key that stands twice is refused, as YAML has it: PyYAML would take the last.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping as it is written, before others are merged into it.

        Raises:
            yaml.YAMLError: a key stands in it twice.
        """
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    line = key.start_mark.line + 1
                    raise yaml.YAMLError(f"{key.value!r} stands twice, in line {line} again")
                seen.add((key.tag, key.value))
        return node
