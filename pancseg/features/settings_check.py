"""Owns whether settings can be used, so that it is said before any scan is read."""

from __future__ import annotations

from collections.abc import Sequence

from pancseg.features.codebook import filter_of, meaning_of
from pancseg.features.expected import feature_names
from pancseg.features.extract import BACKENDS
from pancseg.features.numbers import check_numbers
from pancseg.settings import FeatureSettings

_NEEDS = {
    "LBP2D": "; it needs the package scikit-image",
    "LBP3D": "; it needs the package trimesh and a SciPy before 1.17",
    "LoG": "; it needs sigma, a list of widths in mm",
    "shape2D": "; it needs force2D",
}


def check(settings: FeatureSettings) -> None:
    """Raise ValueError, in one line, when these settings fail, or give less than they ask for.

    All that is done with settings later is done here on a small block: every feature is measured
    once, and looked up in the codebook.
    """
    if settings.mode not in BACKENDS:
        raise ValueError(f"unknown mode {settings.mode!r}; known: {', '.join(BACKENDS)}")
    check_numbers(settings.parameters, settings.ibsi)
    BACKENDS[settings.mode]().check(settings.parameters, settings.ibsi)
    try:
        names = feature_names(settings)
        for name in names:
            meaning_of(name, settings)
    except Exception as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"these settings cannot be used: {problem}") from error
    _refuse_what_gives_nothing(names, settings)


def _refuse_what_gives_nothing(names: Sequence[str], settings: FeatureSettings) -> None:
    """Raise ValueError for an image type, a class or a feature that is asked for in vain.

    pyradiomics passes over a filter whose package is not there, and over deprecated features.
    """
    parts = [name.split("_", 2) for name in names]
    images = {filter_of(image, settings).image_type for image, _, _ in parts}
    for kind in settings.parameters.get("imageType") or {}:
        if kind not in images:
            raise ValueError(f"imageType {kind} gives no feature{_NEEDS.get(kind, '')}")
    found = {(name, feature) for _, name, feature in parts}
    for name, features in (settings.parameters.get("featureClass") or {}).items():
        if name not in {known for known, _ in found}:
            listed = f" ({', '.join(features)})" if features else ""
            why = _NEEDS.get(name) or ("; pyradiomics has deprecated them" if features else "")
            raise ValueError(f"featureClass {name} gives no feature{listed}{why}")
        for feature in features or ():
            if (name, feature) not in found:
                raise ValueError(
                    f"featureClass {name}: {feature} has no value, as pyradiomics has deprecated "
                    "it; leave it out"
                )
