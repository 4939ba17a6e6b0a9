"""Every feature has a meaning: IBSI code and name, unit, filter, bins, and what vouches for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from radiomics import getFeatureClasses

from pancseg import (
    FeatureSettings,
    UnusableCase,
    extract_features,
    load_feature_settings,
    preset_names,
)
from pancseg.features.codebook import (
    IBSI,
    NOT_IBSI,
    REFERENCE_VERIFIED,
    ColumnMeaning,
    filter_of,
    meaning_of,
)
from pancseg.features.expected_names import feature_names
from pancseg.features.ibsi_codes import definitions
from pancseg.phantom import Phantom

ALL_FILTERS = {
    **{k: {} for k in ["Original", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient"]},
    "LoG": {"sigma": [1, 2.5]},
    "Wavelet": {"level": 2, "binWidth": 5},
}


def settings(mode: str = "pyradiomics", **setting: object) -> FeatureSettings:
    parameters = {"setting": setting or {"binWidth": 25}, "imageType": ALL_FILTERS}
    return FeatureSettings(name="custom", mode=mode, parameters=parameters)


def meaning(name: str, mode: str = "pyradiomics", **setting: object) -> ColumnMeaning:
    found = meaning_of(name, settings(mode, **setting))
    assert found is not None
    return found


def test_every_feature_of_pyradiomics_is_defined() -> None:
    computed = {
        (kind, feature)
        for kind, extractor in getFeatureClasses().items()
        for feature, deprecated in extractor.getFeatureNames().items()
        if not deprecated
    }
    assert computed <= set(definitions())
    mapped = {key for key in computed if definitions()[key].ibsi_code}
    assert len(mapped) == 102
    assert {kind for kind, _ in computed - mapped} == {"shape", "shape2D", "firstorder", "glcm"}


def test_codes_are_four_characters_and_each_belongs_to_one_tag() -> None:
    coded = [d for d in definitions().values() if d.ibsi_code]
    assert all(re.fullmatch(r"[A-Z0-9]{4}", d.ibsi_code) for d in coded)
    assert len({d.ibsi_code for d in coded}) == len({d.ibsi_tag for d in coded}) == len(coded)
    for definition in definitions().values():
        assert bool(definition.ibsi_tag) == bool(definition.ibsi_code) == bool(definition.ibsi_name)


def test_tags_are_those_of_the_reference_values(data: Path) -> None:
    text = (data / "ibsi" / "ibsi_1_reference_values" / "ibsi_1_dig_phantom.csv").read_text()
    tags = {line.split(";")[2] for line in text.splitlines()[1:] if line.strip()}
    short = {re.sub(r"_(2D|2_5D|3D)(_avg|_comb)?$", "", tag) for tag in tags}
    assert {d.ibsi_tag for d in definitions().values()} - {""} <= short


@pytest.mark.parametrize("preset", [*preset_names(), None])
def test_every_column_has_a_meaning(preset: str | None) -> None:
    chosen = load_feature_settings(preset) if preset else settings()
    names = feature_names(chosen)
    assert len(names) >= 107
    for name in names:
        found = meaning_of(name, chosen)
        assert found is not None, name
        assert re.fullmatch(r"(mm[²³]?|1/mm|none|((mm³·)?(HU|a\.u\.)²?))", found.unit)
        assert found.ibsi_status in (REFERENCE_VERIFIED, IBSI, NOT_IBSI)
        assert found.mode == chosen.mode


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("original", ("original", "", "Original")),
        ("log-sigma-2-5-mm-3D", ("LoG", "sigma 2.5 mm", "LoG")),
        ("wavelet-HHL", ("wavelet", "coif1 HHL, level 1", "Wavelet")),
        ("wavelet2-LLL", ("wavelet", "coif1 LLL, level 2", "Wavelet")),
        ("squareroot", ("squareroot", "", "SquareRoot")),
        ("lbp-3D-m1", ("lbp-3D", "m1", "LBP3D")),
    ],
)
def test_filters_are_read_from_names(image: str, expected: tuple[str, str, str]) -> None:
    assert filter_of(image, settings()) == expected


def test_levels_that_were_passed_over_count() -> None:
    """pyradiomics numbers from one whatever its first level is."""
    parameters = {"imageType": {"Wavelet": {"start_level": 1, "level": 2}}}
    chosen = settings().model_copy(update={"mode": "pyradiomics", "parameters": parameters})
    for image, level in (("wavelet-LLH", 2), ("wavelet2-LLL", 3)):
        assert filter_of(image, chosen).parameters == f"coif1 {image[-3:]}, level {level}"


def test_intensities_of_filtered_images_are_not_hu() -> None:
    assert meaning("original_firstorder_Mean").unit == "HU"
    assert meaning("original_firstorder_Mean", normalize=True).unit == "a.u."
    assert meaning("wavelet-HHL_firstorder_Variance").unit == "a.u.²"
    assert meaning("original_firstorder_TotalEnergy").unit == "mm³·HU²"
    assert meaning("original_shape_MeshVolume").unit == "mm³"


@pytest.mark.parametrize(
    ("name", "mode", "setting", "expected"),
    [
        ("original_glcm_Idm", "pyradiomics", {"binWidth": 10}, "bins of 10 HU from the multiple"),
        ("original_glcm_Idm", "ibsi", {"binWidth": 10}, "bins of 10 HU from the region's minimum"),
        (
            "original_glcm_Idm",
            "ibsi",
            {"binWidth": 10, "resegmentRange": [-10, 300]},
            "bins of 10 HU from -10 HU, the re-segmentation minimum",
        ),
        ("square_glcm_Idm", "ibsi", {"binWidth": 10, "resegmentRange": [-10, 300]}, "10 a.u. from"),
        ("original_glcm_Idm", "ibsi", {"binCount": 32}, "32 bins from"),
        ("wavelet-HHL_glcm_Idm", "ibsi", {"binCount": 32}, "bins of 5 a.u. from"),
        ("wavelet-HHL_glcm_Idm", "pyradiomics", {"binCount": 32}, "32 bins from"),
        ("original_firstorder_Entropy", "ibsi", {"binCount": 32}, "32 bins from"),
        ("original_firstorder_Mean", "ibsi", {"binCount": 32}, ""),
        ("original_shape_Sphericity", "ibsi", {"binCount": 32}, ""),
    ],
)
def test_bins_are_described(
    name: str, mode: str, setting: dict[str, object], expected: str
) -> None:
    found = meaning(name, mode, **setting).binning
    assert (expected in found) if expected else (found == "")


@pytest.mark.parametrize(
    ("name", "mode", "setting", "expected"),
    [
        ("original_glcm_Idm", "ibsi", {}, REFERENCE_VERIFIED),
        ("original_glcm_Idm", "ibsi", {"force2D": True}, REFERENCE_VERIFIED),
        ("log-sigma-1-0-mm-3D_firstorder_Mean", "ibsi", {}, REFERENCE_VERIFIED),
        ("log-sigma-1-0-mm-3D_firstorder_Entropy", "ibsi", {}, IBSI),
        ("log-sigma-1-0-mm-3D_glcm_Idm", "ibsi", {}, IBSI),
        ("wavelet-HHL_firstorder_Mean", "ibsi", {}, IBSI),
        ("original_glcm_MCC", "ibsi", {}, NOT_IBSI),
        ("square_glcm_Idm", "ibsi", {}, NOT_IBSI),
        ("original_glcm_Idm", "pyradiomics", {}, NOT_IBSI),
        ("original_glcm_Idm", "pyradiomics", {"binCount": 32}, IBSI),
        ("original_firstorder_Mean", "pyradiomics", {}, IBSI),
        ("original_firstorder_Mean", "pyradiomics", {"normalize": True}, NOT_IBSI),
        ("original_shape_Sphericity", "pyradiomics", {"normalize": True}, IBSI),
        ("original_shape_Sphericity", "pyradiomics", {"resampledPixelSpacing": [1] * 3}, NOT_IBSI),
        ("wavelet-HHL_firstorder_Mean", "pyradiomics", {}, NOT_IBSI),
        ("original_gldm_DependenceEntropy", "ibsi", {}, REFERENCE_VERIFIED),
        ("original_gldm_DependenceEntropy", "ibsi", {"gldm_a": 1}, IBSI),
        ("original_shape_MajorAxisLength", "ibsi", {}, REFERENCE_VERIFIED),
        ("original_shape_MajorAxisLength", "pyradiomics", {}, NOT_IBSI),
        ("original_shape_Elongation", "pyradiomics", {}, IBSI),
        ("original_shape_Sphericity", "pyradiomics", {"resegmentShape": True}, IBSI),
        (
            "original_shape_Sphericity",
            "pyradiomics",
            {"resegmentShape": True, "resegmentRange": [0, 99]},
            NOT_IBSI,
        ),
        ("original_firstorder_Energy", "pyradiomics", {"voxelArrayShift": 0}, IBSI),
        ("original_firstorder_Energy", "pyradiomics", {"voxelArrayShift": 9}, NOT_IBSI),
        ("original_firstorder_RootMeanSquared", "pyradiomics", {"voxelArrayShift": 9}, NOT_IBSI),
        ("original_firstorder_Mean", "pyradiomics", {"voxelArrayShift": 9}, IBSI),
    ],
)
def test_the_ibsi_status_says_what_vouches_for_a_column(
    name: str, mode: str, setting: dict[str, object], expected: str
) -> None:
    assert meaning(name, mode, **setting).ibsi_status == expected


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ({"gldm_a": 1, "distances": [1], "symmetricalGLCM": True}, set()),
        ({"symmetricalGLCM": False}, {"glcm"}),
        ({"distances": [2]}, {"glcm", "gldm"}),
        ({"distances": [1, 2]}, {"glcm", "gldm"}),
        ({"weightingNorm": "euclidean"}, {"glcm"}),
        ({"weightingNorm": "no_weighting"}, set()),
        ({"force2D": True}, set()),
        ({"force2D": True, "force2Ddimension": 2}, {"glcm", "glszm", "gldm"}),
    ],
)
def test_a_setting_that_changes_the_definition_is_not_ibsis(
    setting: dict[str, object], changed: set[str]
) -> None:
    names = (
        "glcm_Idm",
        "glrlm_RunEntropy",
        "glszm_ZoneEntropy",
        "gldm_DependenceEntropy",
        "ngtdm_Contrast",
    )
    for name in names:
        status = meaning(f"original_{name}", binCount=32, **setting).ibsi_status
        own = {"glrlm", "ngtdm"}  # pyradiomics's, whatever the setting, where voxels stand apart
        assert status == (NOT_IBSI if name.split("_")[0] in changed | own else IBSI), name


def test_a_scan_that_is_not_in_hu_has_no_feature_in_hu() -> None:
    chosen = settings("ibsi", binWidth=10, resegmentRange=[0, 50])
    for hu, unit in ((True, "HU"), (False, "a.u.")):
        other = chosen.model_copy(update={"ibsi": {"hu": hu}})
        mean, idm = (meaning_of(f"original_{n}", other) for n in ("firstorder_Mean", "glcm_Idm"))
        assert mean.unit == unit
        assert idm.binning == f"bins of 10 {unit} from 0 {unit}, the re-segmentation minimum"


def test_other_columns_mean_nothing_here() -> None:
    for name in ("qc_status", "patient_id", "original_glcm_Nothing", "original"):
        assert meaning_of(name, settings()) is None


def test_expected_names_are_those_of_a_2d_shape_too() -> None:
    parameters = {"setting": {"force2D": True}, "featureClass": {"shape2D": None}}
    names = feature_names(FeatureSettings(name="custom", parameters=parameters))
    assert len(names) == 9
    assert all(meaning_of(name, settings()) for name in names)
    everything = FeatureSettings(name="custom", parameters={"setting": {"force2D": True}})
    assert set(names) < set(feature_names(everything))


@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_2d_shapes_of_a_thick_region_are_refused(phantom: Phantom, dimension: int) -> None:
    """``force2D`` alone asks for every class, shape2D too; pyradiomics stops with '%i' there."""
    parameters = {"setting": {"force2D": True, "force2Ddimension": dimension}}
    found = FeatureSettings(name="custom", parameters=parameters)
    assert feature_names(found)
    with pytest.raises(UnusableCase, match=r"region is \d+ voxels thick, but shape2D needs 1"):
        extract_features(phantom.image, phantom.mask, found)
