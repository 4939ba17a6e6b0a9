"""The phantoms, settings and aggregations that are compared with IBSI's reference values."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import SimpleITK as sitk

from pancseg.features.extract import compute_features
from pancseg.features.settings import FeatureSettings, load_feature_settings
from pancseg.scans.reading import read_scan
from pancseg.selftest.digital_phantom import digital_phantom as _digital_phantom
from pancseg.selftest.score import Agreement, read_references, score

CT_IMAGE = "ibsi_1_ct_radiomics_phantom/nifti/image/phantom.nii.gz"
CT_MASK = "ibsi_1_ct_radiomics_phantom/nifti/mask/mask.nii.gz"
CT_REFERENCES = "ibsi_1_reference_values/ibsi_1_chest_config_{}.csv"


class IbsiAggregation(NamedTuple):
    """One of IBSI's ways to combine directions and slices.

    Attributes:
        name: IBSI's name.
        suffixes: endings of the reference values' tags: of GLCM and GLRLM, of the other matrices.
        planar: texture within axial slices.
        additions: the keys of mode ``ibsi`` that select it.
    """

    name: str
    suffixes: tuple[str, str]
    planar: bool
    additions: dict[str, object]


SOLID = (
    IbsiAggregation("3D, averaged", ("_3D_avg", "_3D"), False, {}),
    IbsiAggregation("3D, merged", ("_3D_comb", "_3D"), False, {"aggregation": "merged"}),
)
PLANAR = (
    IbsiAggregation("2D, averaged", ("_2D_avg", "_2D"), True, {"by_slice": True}),
    IbsiAggregation(
        "2D, slice-merged", ("_2D_comb", "_2D"), True, {"by_slice": True, "aggregation": "merged"}
    ),
    IbsiAggregation("2.5D, direction-merged", ("_2_5D_avg", "_2_5D"), True, {}),
    IbsiAggregation("2.5D, merged", ("_2_5D_comb", "_2_5D"), True, {"aggregation": "merged"}),
)


def digital_phantom() -> Iterator[Agreement]:
    """Yield the scores of the digital phantom: texture in 3-D and in slices."""
    image, region = _digital_phantom()
    text = files("pancseg.selftest").joinpath("digital_phantom.csv").read_text(encoding="utf-8")
    settings = load_feature_settings("ibsi_digital_phantom")
    for how in SOLID + PLANAR:
        values = compute_features(image, region, _with(settings, how)).values
        yield score(f"digital phantom, {how.name}", values, read_references(text), how.suffixes)


def ct_phantom(folder: Path) -> Iterator[Agreement]:
    """Return the scores of configurations A to E on the CT radiomics phantom, one by one.

    Args:
        folder: IBSI's data sets, with ``ibsi_1_ct_radiomics_phantom`` and
            ``ibsi_1_reference_values``.

    Raises:
        FileNotFoundError: a file is missing.
    """
    for name in (CT_IMAGE, CT_MASK, *map(CT_REFERENCES.format, "abcde")):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"IBSI's data lack {name}; give a copy of https://github.com/theibsi/data_sets"
            )
    return _of_ct_phantom(folder)


def _of_ct_phantom(folder: Path) -> Iterator[Agreement]:
    image, region = read_scan(folder / CT_IMAGE), read_scan(folder / CT_MASK)
    region = sitk.Cast(region > 0, sitk.sitkUInt8)
    for letter in "abcde":
        path = folder / CT_REFERENCES.format(letter)
        references = read_references(path.read_text(encoding="utf-8-sig"))
        settings = load_feature_settings(f"ibsi_{letter}")
        for how in PLANAR if letter in "ab" else SOLID:
            values = compute_features(image, region, _with(settings, how)).values
            yield score(
                f"CT phantom, {letter.upper()}, {how.name}", values, references, how.suffixes
            )


def _with(settings: FeatureSettings, how: IbsiAggregation) -> FeatureSettings:
    parameters = {
        **settings.parameters,
        "setting": {**settings.parameters["setting"], "force2D": how.planar},
    }
    ibsi = {k: v for k, v in settings.ibsi.items() if k not in ("by_slice", "aggregation")}
    return settings.model_copy(update={"parameters": parameters, "ibsi": {**ibsi, **how.additions}})
