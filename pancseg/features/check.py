"""Check that feature settings can be used, before any scan is read."""

from __future__ import annotations

from collections.abc import Sequence

from pancseg.errors import UnusableCase
from pancseg.features.codebook import filter_of, meaning_of
from pancseg.features.expected_names import on_a_block
from pancseg.features.extract import check_values
from pancseg.features.settings import FeatureSettings

_NEEDS = {
    "LBP2D": "; it needs the package scikit-image",
    "LBP3D": "; it needs the package trimesh and a SciPy before 1.17",
}


def check_feature_settings(settings: FeatureSettings) -> None:
    """Raise ValueError, in one line, when settings fail or yield less than they ask for.

    Every feature is computed once on a small block and looked up in the codebook. Settings whose
    effect depends on the region are not tried: the grid, bins, ranges and the smallest size.
    """
    check_values(settings)
    try:
        names = on_a_block(settings)
        for name in names:
            meaning_of(name, settings)
    except (ImportError, MemoryError):
        raise
    except UnusableCase as refused:
        raise ValueError(f"these settings leave nothing to measure: {refused.fact}") from refused
    except Exception as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"these settings cannot be used: {problem}") from error
    _refuse_vain_requests(names, settings)


def _refuse_vain_requests(names: Sequence[str], settings: FeatureSettings) -> None:
    """Raise ValueError for an image type, class or feature that yields nothing.

    pyradiomics silently skips filters whose package is not installed, and deprecated features.
    """
    parts = [name.split("_", 2) for name in names]
    images = {filter_of(image, settings).image_type for image, _, _ in parts}
    setting, classes = (settings.parameters.get(k) or {} for k in ("setting", "featureClass"))
    for kind, own in (settings.parameters.get("imageType") or {}).items():
        if kind not in images:
            why = _NEEDS.get(kind, "")
            if classes and set(classes) <= {"shape", "shape2D"}:
                why = "; featureClass asks for shapes alone, which no filter changes"
            elif kind == "LoG" and not {**setting, **(own or {})}.get("sigma"):
                why = "; it needs sigma, a list of widths in mm"
            raise ValueError(f"imageType {kind} gives no feature{why}")
    found = {(name, feature) for _, name, feature in parts}
    for name, features in classes.items():
        if name not in {known for known, _ in found}:
            listed = f" ({', '.join(features)})" if features else ""
            why = "; pyradiomics has deprecated them" if features else ""
            if name == "shape2D":
                why = "; it needs force2D, and force2Ddimension 0 or 2"
            raise ValueError(f"featureClass {name} gives no feature{listed}{why}")
        for feature in features or ():
            if (name, feature) not in found:
                raise ValueError(
                    f"featureClass {name}: {feature} has no value, as pyradiomics has deprecated "
                    "it; leave it out"
                )
