"""Read and write a trained network and its provenance as one safetensors file (never pickle)."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
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
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pancseg.segmentation import DEFAULT_WEIGHTS
from pancseg.segmentation.checkpoint_header import (
    NO_CHECKPOINT,
    StoredTensor,
    first_problem,
    read_header,
)
from pancseg.segmentation.location_prior import CELLS
from pancseg.segmentation.look_windows import LARGEST_SIZE, LookWindows
from pancseg.segmentation.networks import NETWORKS, build_network, is_outside
from pancseg.segmentation.networks.activation_ranges import Ranges, StoredRanges
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.system.ranges import within
from pancseg.system.regular_files import open_regular
from pancseg.system.whole_files import write_whole
from pancseg.system.yaml_file import FrozenModel

if TYPE_CHECKING:
    from torch import Tensor, nn

_KEY = "pancseg"
_MOST_HU, _WIDEST_FIELD_MM = 100_000.0, 2000.0
_PLACES = "places"
"""Key of the location prior among the stored tensors."""
_SECOND = "second/"
"""What the names of the second network's tensors begin with; no network has a slash in its own."""


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    low, high = window
    if not all(-_MOST_HU <= end <= _MOST_HU for end in window):
        raise ValueError(f"the ends must be finite (expected {-_MOST_HU:g}–{_MOST_HU:g} HU)")
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
    size: Annotated[PositiveInt, within(4, LARGEST_SIZE)] = Field(multiple_of=4)
    orientation: Literal["LPS"] = "LPS"
    smallest_field_mm: Annotated[PositiveFloat, within(1, _WIDEST_FIELD_MM, "mm")] = 320.0


_CUSTOM = "custom"
"""Name of weights that do not come with pancseg: their file's name may name a patient or a user."""


_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _CheckpointMetadata(FrozenModel):
    network: str
    preprocessing: Preprocessing
    provenance: dict[str, str]
    dropout: float | None = Field(None, ge=0, lt=1)
    windows: LookWindows | None = None
    second: _CheckpointMetadata | None = None
    joined: tuple[_Sha256, _Sha256] | None = None
    ranges: StoredRanges | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with its preprocessing, provenance and location prior.

    It may hold a second network for a second look (:mod:`pancseg.segmentation.second_look`).

    Attributes:
        network: a key of ``NETWORKS``, or ``module:Class``.
        preprocessing: how to prepare a scan.
        provenance: ``data``, ``licence``, ``attribution``, ``intended_use`` of the training.
        weights: the network's state dict as arrays.
        places: location prior, bool ``(64, 64)``: where in a body a pancreas can be
            (:mod:`pancseg.segmentation.location_prior`); None: anywhere.
        dropout: share of channels dropped in training; None: the network's default.
        windows: the windows that the network of a second look sees; None: whole slices.
        second: the second look's checkpoint, which has ``windows``; None: there is one look.
        joined: ``sha256_without_ranges`` of the two files that a checkpoint of two looks was joined
            from.
        ranges: ranges of the network's activations, which the precision ``int8`` needs
            (:mod:`pancseg.segmentation.networks.activation_ranges`); None: not measured.
        name: the shipped name, or ``custom``.
        sha256: hash of the file's bytes; empty for a checkpoint that was not read from a file.
        sha256_without_ranges: of which masks in other precisions than ``int8`` are made: where the
            file holds no ``ranges``, its ``sha256``, else the hash of the file that pancseg saves
            of the same weights without them (for a file of pancseg's own, the one before they were
            added); empty like ``sha256``.
    """

    network: str
    preprocessing: Preprocessing
    provenance: dict[str, str]
    weights: dict[str, NDArray[Any]]
    places: NDArray[np.bool_] | None = None
    dropout: float | None = None
    windows: LookWindows | None = None
    second: Checkpoint | None = None
    joined: tuple[str, str] | None = None
    ranges: Ranges | None = None
    name: str = ""
    sha256: str = ""
    sha256_without_ranges: str = ""

    @property
    def looks(self) -> int:
        """The number of looks that it holds networks for, 1 or 2."""
        return 1 if self.second is None else 2

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
        write_whole({path: self._content()})

    def without_ranges(self) -> Checkpoint:
        """Return the checkpoint as it was before ranges of activations were measured."""
        second = None if self.second is None else replace(self.second, ranges=None)
        return replace(self, ranges=None, second=second)

    def made_of(self, precision: str) -> str:
        """Return the hash of what masks in a precision are made of; ranges count in int8 alone."""
        return self.sha256 if precision == "int8" else self.sha256_without_ranges

    def _content(self) -> bytes:
        tensors = dict(self.weights)
        if self.places is not None:
            tensors[_PLACES] = self.places.astype(np.uint8)
        if self.second is not None:
            tensors |= {f"{_SECOND}{name}": w for name, w in self.second.weights.items()}
        header = self._metadata.model_dump_json(exclude_none=True)
        return save(tensors, metadata={_KEY: header})

    @property
    def _metadata(self) -> _CheckpointMetadata:
        return _CheckpointMetadata(
            network=self.network,
            preprocessing=self.preprocessing,
            provenance=self.provenance,
            dropout=self.dropout,
            windows=self.windows,
            second=None if self.second is None else self.second._metadata,
            joined=self.joined,
            ranges=self.ranges,
        )


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
        OSError: a pipe, a device or a folder, or the file cannot be read.
        ValueError: not a valid pancseg checkpoint, or it would run code without ``allow_code``.
    """
    name = str(name_or_path)
    if name in shipped_names():
        resource = files("pancseg.segmentation") / "weights" / f"{name}.safetensors"
        with as_file(resource) as path:
            return _read(path, name, allow_code)
    path = Path(name_or_path)
    if not path.exists():
        shown = repr(name) if path.name == name else "at that path"  # whose folders may tell names
        raise FileNotFoundError(
            f"there is no checkpoint {shown}; name a shipped one ({', '.join(shipped_names())}) "
            "or give the path of a file"
        )
    return _read(path, _CUSTOM, allow_code)


def _read(path: Path, name: str, allow_code: bool | str) -> Checkpoint:
    """Read a checkpoint; everything in the header is checked before any weight is read."""
    with open_regular(path) as file:
        tensors, metadata = read_header(file)
        try:
            header = _CheckpointMetadata.model_validate_json(metadata.get(_KEY, ""))
        except ValidationError as error:
            raise ValueError(f"{NO_CHECKPOINT} ({first_problem(error)})") from error
        own = {name: each for name, each in tensors.items() if not name.startswith(_SECOND)}
        _check_network(header.network, allow_code)
        _check_tensors(header.network, own if header.second else tensors)
        if header.second:
            others = {n.removeprefix(_SECOND): e for n, e in tensors.items() if n not in own}
            _check_second(header, header.second, others, allow_code)
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        content = file.read(length)
    try:
        arrays = dict(sorted(load(content).items()))  # it gives them in any order
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{NO_CHECKPOINT} (damaged: {error!s:.200})") from error
    second = None
    if header.second:
        names = [each for each in arrays if each.startswith(_SECOND)]
        second = _made(header.second, {n.removeprefix(_SECOND): arrays.pop(n) for n in names})
    made = replace(_made(header, arrays), second=second, name=name)
    digest = hashlib.sha256(content).hexdigest()
    measured = made.ranges or (second and second.ranges)
    plain = made.without_ranges()._content() if measured else content
    without = hashlib.sha256(plain).hexdigest()
    return replace(made, sha256=digest, sha256_without_ranges=without)


def _made(header: _CheckpointMetadata, arrays: dict[str, NDArray[Any]]) -> Checkpoint:
    """Return one network's checkpoint, once its values make sense."""
    location_prior = arrays.pop(_PLACES, None)
    weights = {key: _single(weight) for key, weight in arrays.items()}
    _check_values(weights)
    return Checkpoint(
        network=header.network,
        preprocessing=header.preprocessing,
        provenance=header.provenance,
        weights=weights,
        places=None if location_prior is None else _map_of(location_prior),
        dropout=header.dropout,
        windows=header.windows,
        joined=header.joined,
        ranges=header.ranges,
    )


def _check_second(
    first: _CheckpointMetadata,
    second: _CheckpointMetadata,
    tensors: dict[str, StoredTensor],
    allow_code: bool | str,
) -> None:
    """Refuse a second network that is missing, or cannot be the second look of the first."""
    if not tensors:
        raise ValueError(
            f"the checkpoint's second network is missing: the header names {second.network!r:.90}, "
            "but the file holds none of its weights; join the two looks again"
        )
    _check_network(second.network, allow_code)
    try:
        _check_tensors(second.network, tensors)
    except ValueError as error:
        raise ValueError(f"the checkpoint's second network: {error}") from error
    if problem := looks_problem(first, second):
        raise ValueError(f"{NO_CHECKPOINT} ({problem})")


def looks_problem(
    first: Checkpoint | _CheckpointMetadata, second: Checkpoint | _CheckpointMetadata
) -> str:
    """Return why two networks cannot be the two looks of one checkpoint; empty if they can."""
    if first.windows is not None:
        return (
            f"the first network is that of a second look, trained on windows of "
            f"{first.windows.in_words} pixels; the first look needs one of whole slices"
        )
    if second.windows is None:
        return "it is not known on which windows the second network was trained"
    if second.second is not None:
        return "the second network has a second look itself"
    if first.preprocessing.window_hu != second.preprocessing.window_hu:
        low, high = (
            f"{a:g} to {b:g} HU"
            for a, b in (first.preprocessing.window_hu, second.preprocessing.window_hu)
        )
        return f"the first network sees {low} (window_hu), the second {high}; train both on one"
    return ""


def _check_network(network: str, allow_code: bool | str) -> None:
    if network not in NETWORKS and not is_outside(network):
        raise ValueError(f"the weights are of an unknown network, {network!r:.100}")
    if is_outside(network) and allow_code is not True and allow_code != network:
        raise ValueError(
            f"loading the weights would run {network:.200}, which is code outside pancseg; if you "
            "trust their author, give `allow_code`"
        )


def _check_tensors(network: str, tensors: dict[str, StoredTensor]) -> None:
    """Refuse tensors of other names, shapes or types than the network's."""
    shapes = {name: tuple(each.shape) for name, each in tensors.items()}
    places = shapes.pop(_PLACES, (CELLS, CELLS))
    if places != (CELLS, CELLS):
        sides = "×".join(map(str, places))
        raise ValueError(f"the location prior is {sides:.100}, expected {CELLS}×{CELLS}")
    if _shapes_of(network) != shapes:
        raise ValueError(f"the weights do not fit network {network!r:.100}")
    if is_outside(network):
        return
    whole = [name for name in shapes if not tensors[name].is_float]
    if odd := [name for name in whole if not name.endswith(".num_batches_tracked")]:
        raise ValueError(f"{len(odd)} of {len(shapes)} weights are whole numbers, not floats")


def _check_values(weights: dict[str, NDArray[Any]]) -> None:
    """Refuse weights that no training can end with."""
    if not all(np.isfinite(w).all() for w in weights.values()):
        raise ValueError("the weights contain values that are not finite")
    variances = [w for name, w in weights.items() if name.endswith(".running_var")]
    if any((w < 0).any() for w in variances):
        raise ValueError("the weights contain variances of BatchNorm below 0")


def _map_of(location_prior: NDArray[Any]) -> NDArray[np.bool_]:
    if not np.isin(location_prior, (0, 1)).all() or not location_prior.any():
        raise ValueError("the location prior must hold 0 and 1, and allow some place")
    return location_prior.astype(bool)


def _shapes_of(network: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of a network's weights, by name."""
    if not is_outside(network):
        return graph_of(network).weights
    state = build_network(network).state_dict()
    return {name: tuple(weight.shape) for name, weight in state.items()}


def _single(weight: NDArray[Any]) -> NDArray[Any]:
    """Return floats in single precision, as engines expect them; integers stay unchanged."""
    if not np.issubdtype(weight.dtype, np.floating):
        return weight
    with np.errstate(over="ignore"):  # an infinite value is refused
        return weight.astype(np.float32)
