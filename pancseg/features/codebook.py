"""Describe a feature column for the codebook, from its name and the settings."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pancseg.features.ibsi_codes import Definition, definitions
from pancseg.features.settings import FeatureSettings

REFERENCE_VERIFIED = "reference-verified here"
IBSI = "IBSI"
NOT_IBSI = "not IBSI"

_STANDARD_FILTERS = frozenset({"original", "LoG", "wavelet"})
"""The image types of pyradiomics that IBSI 1 and 2 define."""

_BINNED = frozenset({"glcm", "glrlm", "glszm", "gldm", "ngtdm"})
_BIN_SETTINGS = frozenset({"binWidth", "binCount"})
_BINNED_FIRST_ORDER = frozenset({"Entropy", "Uniformity"})

_SHIFTED = frozenset({"Energy", "RootMeanSquared"})
_ISOLATED_DIFFER = frozenset({"ngtdm", "glrlm"})
"""Classes in which pyradiomics counts voxels without neighbours differently from IBSI."""
_AT_DISTANCES = frozenset({"glcm", "gldm"})
_WEIGHTED = frozenset({"glcm"})
"""What pyradiomics's ``voxelArrayShift`` (``_SHIFTED``), ``distances`` (``_AT_DISTANCES``) and
``weightingNorm`` (``_WEIGHTED``) change."""


_CLASSES = {
    "shape": "shape of the region in 3-D",
    "shape2D": "shape of the region within a slice",
    "firstorder": "intensities in the region",
    "glcm": "grey level co-occurrence matrix",
    "glrlm": "grey level run length matrix",
    "glszm": "grey level size zone matrix",
    "gldm": "grey level dependence matrix",
    "ngtdm": "neighbouring grey tone difference matrix",
}
_NAMES = {
    "MCC": "Maximal correlation coefficient",
    "Maximum2DDiameterColumn": "Maximum diameter in the coronal plane",
    "Maximum2DDiameterRow": "Maximum diameter in the sagittal plane",
    "Maximum2DDiameterSlice": "Maximum diameter in the axial plane",
}
"""Names in words of features that IBSI does not name."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


class FilterDescription(NamedTuple):
    """The filter that was applied to the image before a feature was computed.

    Attributes:
        name: ``original``, ``LoG``, ``wavelet``, or the image type as pyradiomics names it.
        parameters: as text, such as ``sigma 1.0 mm``; empty if there are none.
        image_type: key of ``imageType`` in a parameter file.
    """

    name: str
    parameters: str
    image_type: str


class ColumnMeaning(NamedTuple):
    """A feature column's row in the codebook.

    Attributes:
        unit: ``mm``, ``mm²``, ``mm³``, ``1/mm``, ``HU``, ``HU²``, ``mm³·HU²`` or ``none``. After
            a filter or normalisation, and with ``hu: false``, ``a.u.`` (arbitrary units) stands
            in place of HU.
        family: pyradiomics's feature class.
        filter: ``original``, ``LoG``, ``wavelet``, …
        filter_parameters: such as ``sigma 1.0 mm``; empty if there are none.
        binning: how intensities became grey levels; empty for features that need none.
        mode: ``ibsi`` or ``pyradiomics``.
        ibsi_code: IBSI's code of four characters; empty without a counterpart.
        ibsi_name: name in IBSI's reference manual; empty without a counterpart.
        ibsi_status: see :func:`ibsi_status`.
        note: difference from IBSI's definition, if any.
    """

    unit: str
    family: str
    filter: str
    filter_parameters: str
    binning: str
    mode: str
    ibsi_code: str
    ibsi_name: str
    ibsi_status: str
    note: str


def meaning_of(name: str, settings: FeatureSettings) -> ColumnMeaning | None:
    """Return the meaning of a feature column; None if it is not a feature of pyradiomics.

    Args:
        name: ``<image>_<class>_<Feature>``, such as ``log-sigma-1-0-mm-3D_glcm_Idm``.
        settings: the settings it was computed with.

    >>> meaning = meaning_of("original_glcm_Idm", FeatureSettings(name="custom", parameters={}))
    >>> meaning.ibsi_code, meaning.unit
    ('WF0Z', 'none')
    """
    image, _, rest = name.partition("_")
    feature_class, _, feature = rest.partition("_")
    definition = definitions().get((feature_class, feature))
    if definition is None:
        return None
    applied = filter_of(image, settings)
    return ColumnMeaning(
        unit=definition.unit.replace("HU", _intensity_unit(applied, settings)),
        family=definition.feature_class,
        filter=applied.name,
        filter_parameters=applied.parameters,
        binning=binning(definition, applied, settings),
        mode=settings.mode,
        ibsi_code=definition.ibsi_code,
        ibsi_name=definition.ibsi_name,
        ibsi_status=ibsi_status(definition, applied, settings),
        note=_note(definition, settings.mode),
    )


def in_words(name: str, meaning: ColumnMeaning) -> str:
    """Return what a feature column holds, in words, and how it differs from IBSI's definition.

    >>> settings = FeatureSettings(name="custom", parameters={})
    >>> name = "log-sigma-1-0-mm-3D_glcm_Idm"
    >>> in_words(name, meaning_of(name, settings))
    'Inverse difference moment (grey level co-occurrence matrix) after the filter LoG, sigma 1.0 mm'
    """
    feature = name.rpartition("_")[2]
    words = " ".join(_WORD.findall(feature)).capitalize()
    named = meaning.ibsi_name or _NAMES.get(feature) or words
    text = f"{named} ({_CLASSES[meaning.family]})"
    if meaning.filter != "original" and not meaning.family.startswith("shape"):
        how = f", {meaning.filter_parameters}" if meaning.filter_parameters else ""
        text += f" after the filter {meaning.filter}{how}"
    return f"{text}; {meaning.note}" if meaning.note else text


def filter_of(image: str, settings: FeatureSettings) -> FilterDescription:
    """Return the filter behind an image's name, such as ``wavelet-HHL`` or ``original``."""
    kind, _, detail = image.partition("-")
    if kind == "log":
        sigma = detail.removeprefix("sigma-").removesuffix("D")[: -len("-mm-3")].replace("-", ".")
        plane = ", within slices" if detail.endswith("2D") else ""
        return FilterDescription("LoG", f"sigma {sigma} mm{plane}", "LoG")
    if kind.rstrip("0123456789") == "wavelet":
        asked = settings_for("Wavelet", settings)
        wavelet = asked.get("wavelet", "coif1")
        level = int(kind.removeprefix("wavelet") or 1) + int(asked.get("start_level", 0))
        return FilterDescription("wavelet", f"{wavelet} {detail}, level {level}", "Wavelet")
    if kind == "lbp":
        dimensions, _, order = detail.partition("-")
        return FilterDescription(f"lbp-{dimensions}", order, f"LBP{dimensions}")
    names = {"squareroot": "SquareRoot"}
    return FilterDescription(image, "", names.get(image, image.capitalize()))


def settings_for(image_type: str, settings: FeatureSettings) -> dict[str, Any]:
    """Return the parameter file's ``setting``, updated by what ``imageType`` says for one type.

    In mode ibsi, bins given for an image type replace the general ones. In mode pyradiomics,
    ``binCount`` takes precedence over ``binWidth``, wherever each is written.
    """
    general = settings.parameters.get("setting") or {}
    special = (settings.parameters.get("imageType") or {}).get(image_type) or {}
    if settings.mode == "ibsi" and _BIN_SETTINGS & set(special):
        general = {key: value for key, value in general.items() if key not in _BIN_SETTINGS}
    return {**general, **special}


def is_binned(definition: Definition) -> bool:
    """Return whether a feature is computed from grey levels rather than intensities."""
    if definition.feature_class == "firstorder":
        return definition.feature in _BINNED_FIRST_ORDER
    return definition.feature_class in _BINNED


def binning(definition: Definition, applied: FilterDescription, settings: FeatureSettings) -> str:
    """Return a description of the binning of intensities; empty for features without binning."""
    if not is_binned(definition):
        return ""
    setting = settings_for(applied.image_type, settings)
    if (count := setting.get("binCount")) is not None:
        return f"{count} bins from the region's minimum to its maximum"
    unit = _intensity_unit(applied, settings)
    width = f"bins of {setting.get('binWidth', 25):g} {unit}"
    if settings.mode != "ibsi":
        return f"{width} from the multiple of the width at or below the region's minimum"
    span = setting.get("resegmentRange")
    absolute = setting.get("resegmentMode", "absolute") == "absolute"
    if span and absolute and applied.name == "original":
        return f"{width} from {min(span):g} {unit}, the re-segmentation minimum"
    return f"{width} from the region's minimum"


def ibsi_status(
    definition: Definition, applied: FilterDescription, settings: FeatureSettings
) -> str:
    """Return how a column relates to IBSI.

    * ``not IBSI``: the feature has no IBSI code, its filter is not one of IBSI's, or its
      intensities were normalised. In mode pyradiomics also: the value depends on something that
      pyradiomics does differently (resampling, which affects every feature; filters; bins of fixed
      width; axis lengths; NGTDM and GLRLM, which count voxels without neighbours differently), or
      on a setting that turns it into another feature, such as ``symmetricalGLCM: false``.
    * ``reference-verified here``: mode ibsi, and pancseg's tests compare the feature of such an
      image with IBSI's reference values.
    * ``IBSI``: the definition is IBSI's, but no reference value confirms it here.
    """
    setting = settings_for(applied.image_type, settings)
    if not definition.ibsi_code or applied.name not in _STANDARD_FILTERS:
        return NOT_IBSI
    if setting.get("normalize") and definition.feature_class != "shape":
        return NOT_IBSI
    if settings.mode == "ibsi":
        # IBSI 2 does not define the bins of filtered images.
        first_order = definition.feature_class == "firstorder" and not is_binned(definition)
        verified = applied.name == "original" or (applied.name == "LoG" and first_order)
        tolerant = definition.feature_class == "gldm" and setting.get("gldm_a")
        return REFERENCE_VERIFIED if verified and not tolerant else IBSI
    resampled = bool(setting.get("resampledPixelSpacing") or settings.thick_slices)
    counted_differently = is_binned(definition) and setting.get("binCount") is None
    counted_differently = counted_differently or definition.feature_class in _ISOLATED_DIFFER
    differs = resampled or counted_differently or applied.name != "original"
    return NOT_IBSI if differs or _redefined(definition, setting) else IBSI


def _redefined(definition: Definition, setting: dict[str, Any]) -> bool:
    """Return whether pyradiomics computes something other than IBSI under a feature's name."""
    kind = definition.feature_class
    if kind == "shape":
        changed = setting.get("resegmentShape") and setting.get("resegmentRange")
        return bool(changed) or definition.feature.endswith("AxisLength")
    if kind == "firstorder":
        return bool(setting.get("voxelArrayShift")) and definition.feature in _SHIFTED
    weighted = setting.get("weightingNorm") not in (None, "no_weighting")
    return (
        (kind in _AT_DISTANCES and setting.get("distances", [1]) != [1])
        or (kind in _WEIGHTED and weighted)
        or (kind == "glcm" and not setting.get("symmetricalGLCM", True))
        or bool(setting.get("force2D") and setting.get("force2Ddimension"))
    )


def _note(definition: Definition, mode: str) -> str:
    """Return a feature's note, unless it is about the other mode."""
    return (
        ""
        if definition.note.startswith("mode ") and mode not in definition.note
        else definition.note
    )


def _intensity_unit(applied: FilterDescription, settings: FeatureSettings) -> str:
    scaled = settings_for(applied.image_type, settings).get("normalize")
    in_hu = applied.name == "original" and settings.ibsi.get("hu", True) and not scaled
    return "HU" if in_hu else "a.u."
