"""Read and write a trained network and its provenance as one safetensors file (never pickle)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pancseg.segmentation import DEFAULT_WEIGHTS
from pancseg.segmentation.location_prior import CELLS
from pancseg.segmentation.networks import NETWORKS, build_network, is_outside
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.system.whole_files import write_whole
from pancseg.system.yaml_file import FrozenModel

if TYPE_CHECKING:
    from torch import Tensor, nn

_KEY = "pancseg"
_PLACES = "places"
"""Key of the location prior among the stored tensors."""


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    low, high = window
    if not low < high:
        raise ValueError(f"the lower end, {low:g} HU, must be below the upper end, {high:g} HU")
    return window


Window = Annotated[tuple[float, float], AfterValidator(_rising)]
"""Lowest and highest HU that a network can tell apart."""


class Preprocessing(FrozenModel):
    """How a scan is converted to the kind of slices that the network was trained on.

    Attributes:
        window_hu: HU clipped to this window, then scaled to 0..1.
        size: rows and columns of the square slice.
        orientation: axis directions of the slices; rows run to posterior, columns to left.
        smallest_field_mm: smallest side of a slice's square field of view; a smaller scan is
            padded with air, which limits how much a body can be enlarged.
    """

    window_hu: Window
    size: PositiveInt = Field(multiple_of=4)
    orientation: Literal["LPS"] = "LPS"
    smallest_field_mm: PositiveFloat = 320.0


class _CheckpointMetadata(FrozenModel):
    network: str
    preprocessing: Preprocessing
    provenance: dict[str, str]
    dropout: float | None = Field(None, ge=0, lt=1)


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with its preprocessing, provenance and location prior.

    Attributes:
        network: a key of ``NETWORKS``, or ``module:Class``.
        preprocessing: how to prepare a scan.
        provenance: ``data``, ``licence``, ``attribution``, ``intended_use`` of the training.
        weights: the network's state dict as arrays.
        places: location prior, bool ``(64, 64)``: where in a body a pancreas can be
            (:mod:`pancseg.segmentation.location_prior`); None: anywhere.
        dropout: share of channels dropped in training; None: the network's default.
        name: the shipped name, or ``custom``.
        sha256: hash of the file's bytes; empty for a checkpoint that was not read from a file.
    """

    network: str
    preprocessing: Preprocessing
    provenance: dict[str, str]
    weights: dict[str, NDArray[Any]]
    places: NDArray[np.bool_] | None = None
    dropout: float | None = None
    name: str = ""
    sha256: str = ""

    def build(self) -> nn.Module:
        """Return the network with these weights, in evaluation mode."""
        network = build_network(self.network)
        network.load_state_dict(self.tensors())
        if self.dropout is not None:
            from pancseg.segmentation.networks.dropout import set_dropout

            set_dropout(network, self.dropout)
        return network.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Return a copy of the weights as torch tensors."""
        import torch

        return {name: torch.tensor(weight) for name, weight in self.weights.items()}

    def save(self, path: Path) -> None:
        """Write the checkpoint; the file appears whole or not at all.

        Raises:
            OSError: disk full, no permission, no such folder.
        """
        header = _CheckpointMetadata(
            network=self.network,
            preprocessing=self.preprocessing,
            provenance=self.provenance,
            dropout=self.dropout,
        )
        tensors = dict(self.weights)
        if self.places is not None:
            tensors[_PLACES] = self.places.astype(np.uint8)
        content = save(tensors, metadata={_KEY: header.model_dump_json(exclude_none=True)})
        write_whole({path: content})


def weights_of(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Return a copy of a network's state dict as arrays, floats in single precision."""
    return {
        name: (weight.float() if weight.is_floating_point() else weight)
        .detach()
        .cpu()
        .numpy()
        .copy(order="C")
        for name, weight in network.state_dict().items()
    }


def shipped_names() -> list[str]:
    """Return the names of the checkpoints that come with pancseg."""
    folder = files("pancseg.segmentation") / "weights"
    return sorted(
        entry.name.removesuffix(".safetensors")
        for entry in folder.iterdir()
        if entry.name.endswith(".safetensors")
    )


def load_checkpoint(
    name_or_path: str | Path = DEFAULT_WEIGHTS, *, allow_code: bool | str = False
) -> Checkpoint:
    """Load a shipped checkpoint by name, or any pancseg checkpoint by path.

    Args:
        name_or_path: name of a shipped checkpoint, or path of a file.
        allow_code: accept a network outside pancseg (``module:Class``) and run its code; a
            network's name allows this one alone.

    Raises:
        FileNotFoundError: neither a shipped name nor a file.
        ValueError: not a valid pancseg checkpoint, or it would run code without ``allow_code``.
    """
    name = str(name_or_path)
    if name in shipped_names():
        resource = files("pancseg.segmentation") / "weights" / f"{name}.safetensors"
        with as_file(resource) as path:
            return _read(path, name, allow_code)
    path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no checkpoint {name!r}; name a shipped one ({', '.join(shipped_names())}) "
            "or give the path of a file"
        )
    return _read(path, "custom", allow_code)


def _read(path: Path, name: str, allow_code: bool | str) -> Checkpoint:
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            weights = {key: _single(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118
        header = _CheckpointMetadata.model_validate(json.loads(metadata[_KEY]))
    except (SafetensorError, KeyError, ValidationError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path.name} is not a pancseg checkpoint ({reason})") from error
    if header.network not in NETWORKS and not is_outside(header.network):
        raise ValueError(f"{path.name}: unknown network {header.network!r}")
    allowed = allow_code is True or allow_code == header.network
    if is_outside(header.network) and not allowed:
        raise ValueError(
            f"{path.name}: loading it would run {header.network}, which is code outside pancseg; "
            "if you trust the checkpoint's author, give `allow_code`"
        )
    location_prior = weights.pop(_PLACES, None)
    if location_prior is not None and location_prior.shape != (CELLS, CELLS):
        sides = "×".join(map(str, location_prior.shape))
        raise ValueError(f"{path.name}: the location prior is {sides}, expected {CELLS}×{CELLS}")
    if _shapes_of(header.network) != {name: w.shape for name, w in weights.items()}:
        raise ValueError(f"{path.name}: the weights do not fit network {header.network!r}")
    if not all(np.isfinite(w).all() for w in weights.values()):
        raise ValueError(f"{path.name}: the weights contain values that are not finite")
    return Checkpoint(
        network=header.network,
        preprocessing=header.preprocessing,
        provenance=header.provenance,
        weights=weights,
        places=None if location_prior is None else location_prior.astype(bool),
        dropout=header.dropout,
        name=name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _shapes_of(network: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of a network's weights, by name."""
    if not is_outside(network):
        return graph_of(network).weights
    state = build_network(network).state_dict()
    return {name: tuple(weight.shape) for name, weight in state.items()}


def _single(weight: NDArray[Any]) -> NDArray[Any]:
    """Return floats in single precision, as engines expect them; integers stay unchanged."""
    return weight.astype(np.float32) if np.issubdtype(weight.dtype, np.floating) else weight
