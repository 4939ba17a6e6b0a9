"""Say in DICOM objects what made them: the software, and for masks of the network, its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pancseg.system.version import __version__

NAME = "pancseg"
SERIES_NUMBERS = {"dicom-seg": 9001, "dicom-sr": 9002, "rtstruct": 9003}
"""Beyond those of scanners, so that viewers list the objects behind the scans."""


class Weights(NamedTuple):
    """The weights that made the masks.

    Attributes:
        name: a shipped name, or the name that a checkpoint carries.
        sha256: hash of their file; empty if it is not known.
    """

    name: str
    sha256: str


def weights_of(provenance: Mapping[str, Any]) -> Weights:
    """Return the weights that a table's provenance names."""
    weights = provenance.get("weights")
    about = weights if isinstance(weights, Mapping) else {}
    return Weights(str(about.get("name", "")), str(about.get("sha256", "")))


def version_of(provenance: Mapping[str, Any]) -> str:
    """Return the version of pancseg that made the table, or this one."""
    versions = provenance.get("versions")
    about = versions if isinstance(versions, Mapping) else {}
    return str(about.get("pancseg") or __version__)


def equipment() -> dict[str, Any]:
    """Return the attributes of the software that writes an object, as keywords of highdicom."""
    return {
        "manufacturer": NAME,
        "manufacturer_model_name": NAME,
        "software_versions": __version__,
        "device_serial_number": __version__,
    }
