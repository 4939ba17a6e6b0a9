"""Read the header of a safetensors file within bounds, before any tensor is read."""

from __future__ import annotations

import math
import os
from typing import Annotated, BinaryIO, Literal

from pydantic import Field, ValidationError

from pancseg.system.json_file import parse_json
from pancseg.system.regular_files import MEBIBYTE
from pancseg.system.yaml_file import FrozenModel

NO_CHECKPOINT = "the weights file is not a pancseg checkpoint"
LONGEST_HEADER = 4 * MEBIBYTE
_FLOATS = {"F64": 8, "F32": 4, "F16": 2}
_BYTES = {**_FLOATS, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Types of tensors that NumPy can read, with the bytes of each number."""


class StoredTensor(FrozenModel):
    """What a header says of a tensor."""

    dtype: Literal["F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "BOOL"]
    shape: list[Annotated[int, Field(ge=0)]] = Field(max_length=8)
    data_offsets: tuple[int, int]

    @property
    def bytes(self) -> int:
        """Length in the file."""
        return math.prod(self.shape) * _BYTES[self.dtype]

    @property
    def is_float(self) -> bool:
        """Whether it holds floats."""
        return self.dtype in _FLOATS


def read_header(file: BinaryIO) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Return the tensors and the metadata that a file's header names, once they make sense.

    Raises:
        ValueError: no header, a very long one, or tensors that are not those of the file's length.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(LONGEST_HEADER, size - 8):
        raise ValueError(f"{NO_CHECKPOINT} (it has no header of at most {LONGEST_HEADER} bytes)")
    try:
        header = parse_json(file.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = {key: StoredTensor.model_validate(value) for key, value in header.items()}
    except ValidationError as error:
        raise ValueError(f"{NO_CHECKPOINT} ({first_problem(error)})") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{NO_CHECKPOINT} (its header is not JSON of tensors)") from error
    if 8 + length + sum(each.bytes for each in tensors.values()) != size:
        raise ValueError(f"{NO_CHECKPOINT} (its length is not that of its tensors: cut off?)")
    return tensors, metadata if isinstance(metadata, dict) else {}


def first_problem(error: ValidationError) -> str:
    """Return where the first problem is, and what it is, in one short line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    what = first["msg"].removeprefix("Value error, ")
    return f"{where:.100}: {what:.200}" if where else f"{what:.200}"
