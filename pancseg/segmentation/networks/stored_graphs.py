"""Find the graph of a network: read from a stored file, or traced with torch."""

from __future__ import annotations

from importlib.resources import files

from pancseg.segmentation.networks import is_outside
from pancseg.segmentation.networks.graph import NetworkGraph
from pancseg.system.optional import require_torch


def graph_of(network: str) -> NetworkGraph:
    """Return the graph of a network: a key of ``NETWORKS``, or ``module:Class``.

    Raises:
        ValueError: the network uses an operation that graphs cannot describe; or its graph is not
            stored and torch, which is needed to trace it, is not installed.
    """
    if not is_outside(network):
        stored = files(__package__) / "graphs" / f"{network}.json"
        if stored.is_file():
            return NetworkGraph.from_json(stored.read_text(encoding="utf-8"))
    require_torch(f"network {network!r}, whose graph is not stored,")
    from pancseg.segmentation.networks.trace import trace

    return trace(network)
