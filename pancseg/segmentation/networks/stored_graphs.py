"""Graphs of networks that were stored beside the code."""

from __future__ import annotations

from importlib.resources import files

from pancseg.segmentation.networks import is_outside
from pancseg.segmentation.networks.graph import NetworkGraph


def graph_of(network: str) -> NetworkGraph:
    """Return the graph of a network: a key of ``NETWORKS``, or ``module:Class``.

    Raises:
        ValueError: a network outside the package that graphs cannot describe.
    """
    if not is_outside(network):
        stored = files(__package__) / "graphs" / f"{network}.json"
        if stored.is_file():
            return NetworkGraph.from_json(stored.read_text(encoding="utf-8"))
    from pancseg.segmentation.networks.trace import trace

    return trace(network)
