"""Check arrays from a file, and turn nested dataclasses of arrays into named arrays and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbered = TypeVar("Numbered")
"""A dataclass whose fields are arrays, or dataclasses of the same kind."""


def check_floats(what: str, values: NDArray[Any], *shape: int | None) -> None:
    """Refuse an array that does not hold finite float64 numbers in the expected shape.

    Args:
        what: name of the array in the message.
        values: the array.
        shape: length of each axis; None: any length.

    Raises:
        ValueError: another type or shape, or a value that is not finite.
    """
    check_shape(what, values, np.dtype(np.float64), shape)
    if not np.isfinite(values).all():
        raise ValueError(f"{what} contains values that are not finite")


def check_indices(what: str, values: NDArray[Any], length: int | None, most: int) -> None:
    """Refuse an array that does not hold int64 numbers from 0 to ``most``.

    Raises:
        ValueError: another type or shape, or a number outside the range.
    """
    check_shape(what, values, np.dtype(np.int64), (length,))
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) <= most:
        raise ValueError(f"{what} contains numbers from {values.min()} (expected 0–{most})")


def check_shape(
    what: str, values: NDArray[Any], dtype: np.dtype[Any], shape: tuple[int | None, ...]
) -> None:
    """Refuse an array of another type or shape; None in ``shape`` is any length.

    Raises:
        ValueError: says both.
    """
    fits = values.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, values.shape, strict=True)
    )
    if values.dtype != dtype or not fits:
        wanted = "×".join("any" if n is None else str(n) for n in shape)
        found = "×".join(map(str, values.shape))
        raise ValueError(f"{what} is {found} {values.dtype} (expected {wanted} {dtype})")


def named_arrays(numbers: Any, prefix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a dataclass, nested ones included, as ``prefix.field.field``."""
    found: dict[str, NDArray[Any]] = {}
    for field in dataclasses.fields(numbers):
        value, name = getattr(numbers, field.name), f"{prefix}.{field.name}"
        found |= named_arrays(value, name) if dataclasses.is_dataclass(value) else {name: value}
    return found


def from_arrays(kind: type[Numbered], arrays: Mapping[str, NDArray[Any]], prefix: str) -> Numbered:
    """Return the dataclass whose arrays :func:`named_arrays` named.

    Raises:
        ValueError: an array is missing, or the dataclass refuses one.
    """
    values: dict[str, Any] = {}
    types = get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        name, type_ = field.name, types[field.name]
        where = f"{prefix}.{name}"
        if isinstance(type_, type) and dataclasses.is_dataclass(type_):
            values[name] = from_arrays(type_, arrays, where)
        elif where in arrays:
            values[name] = arrays[where]
        else:
            raise ValueError(f"the array {where} is missing")
    return kind(**values)
