"""Mode ibsi: IBSI's reference values, and what becomes of regions and scans that are not right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import threadpoolctl
from radiomics import base, featureextractor, imageoperations

from pancseg import FeatureSettings, UnusableCase, extract_features, load_feature_settings, selftest
from pancseg.features.check import check_feature_settings
from pancseg.features.extract import compute_features
from pancseg.features.ibsi.compute import discretised, prepare
from pancseg.features.ibsi.grid import ResamplingGrid, rounded
from pancseg.features.ibsi.settings import Binning, read
from pancseg.features.neighbours import neighbours
from pancseg.features.pyradiomics import classes
from pancseg.features.texture_matrices import grey_levels
from pancseg.phantom import Phantom
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import orient

TEXTURE = ("glcm", "glrlm", "glszm", "gldm", "ngtdm")


def custom(setting: dict[str, Any], image_type: dict[str, Any] | None = None) -> FeatureSettings:
    parameters = {"setting": setting, "imageType": image_type or {"Original": {}}}
    return FeatureSettings(name="custom", mode="ibsi", parameters=parameters)


PLAIN = custom({"binWidth": 25})


def test_the_digital_phantom_agrees_in_every_aggregation() -> None:
    scores = list(selftest.digital_phantom())
    assert [(s.agree, s.compared, s.misses) for s in scores] == [(102, 102, ())] * 6


def test_the_ct_phantom_agrees_in_every_configuration(data: Path) -> None:
    """A and B in four aggregations, C, D and E in two; 102 values each."""
    scores = list(selftest.ct_phantom(data / "ibsi"))
    assert [(s.agree, s.compared, s.misses) for s in scores] == [(102, 102, ())] * 14


def block(value_of: Any = None, **where: slice) -> tuple[sitk.Image, sitk.Image]:
    """Return a noisy scan of 20×24×28 voxels of 1×1×2 mm and a block of it as region."""
    rng = np.random.default_rng(5)
    voxels = rng.normal(80, 30, (20, 24, 28))
    voxels[0] = -1000
    inside = np.zeros(voxels.shape, np.uint8)
    inside[where.get("z", slice(5, 15)), where.get("y", slice(6, 18)), 7:20] = 1
    if value_of is not None:
        voxels = value_of(voxels, inside)
    scan, region = sitk.GetImageFromArray(voxels), sitk.GetImageFromArray(inside)
    for image in (scan, region):
        image.SetSpacing((1.0, 1.0, 2.0))
    return scan, region


def with_nan(voxels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    voxels[7, 8, 9] = np.nan
    return voxels


@pytest.mark.parametrize(
    ("code", "message", "change", "setting"),
    [
        ("not_hu", "go from .* to .*, which are not HU", lambda v, _: v / 1000, {}),
        ("not_hu", "not HU", lambda v, _: (v + 1024).clip(0).astype(np.uint16), {}),
        ("not_hu", "which are not HU", with_nan, {}),
        (
            "resegmented",
            "0 of the region's 1560 voxels",
            None,
            {"resegmentRange": [900, 999]},
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(
    code: str, message: str, change: Any, setting: dict[str, Any]
) -> None:
    with pytest.raises(UnusableCase, match=message) as caught:
        compute_features(*block(change), custom({"binWidth": 25, **setting}))
    assert caught.value.code == code


def test_outliers_are_those_of_the_whole_region_whatever_the_range() -> None:
    """31 is within 2.5 standard deviations of them, but not of those of what 0 to 50 leaves."""
    scan, region = block(
        lambda v, _: np.where(v > -999, 20 + np.arange(v.size).reshape(v.shape) % 2, v)
    )
    voxels, inside = voxel_array(scan).copy(), voxel_array(region) == 1
    first = np.argwhere(inside)
    voxels[tuple(first[0])], voxels[tuple(first[1])] = 31, 250
    settings = custom({"resegmentRange": [0, 50]}).model_copy(
        update={"ibsi": {"outlier_sigma": 2.5}}
    )
    found = compute_features(image_like(voxels, scan), region, settings)
    assert found.values["original_firstorder_Maximum"] == 31
    assert found.resegmented_share == 1559 / 1560


def test_one_voxel_is_too_small() -> None:
    scan, region = block()
    region = region * 0
    region[9, 9, 9] = 1
    with pytest.raises(UnusableCase, match="features need 2") as caught:
        compute_features(scan, region, PLAIN)
    assert caught.value.code == "too_small"


@pytest.mark.parametrize("setting", [{}, {"resampledPixelSpacing": [1, 1, 1]}])
@pytest.mark.parametrize("where", [{"z": slice(7, 8)}, {"y": slice(7, 8)}])
def test_one_slice_has_no_texture_in_3d_and_says_so(
    where: dict[str, slice], setting: dict[str, Any]
) -> None:
    """Not even when resampling makes two slices of it."""
    scan, region = block(**where)
    found = compute_features(scan, region, custom({"binWidth": 25, **setting}))
    assert list(found.reasons) == ["no_texture"]
    assert found.explained == {n for n in found.values if n.split("_")[1] in TEXTURE}
    assert "in a region of" in found.reasons["no_texture"]
    for name, value in found.values.items():
        assert np.isfinite(value) == (name.split("_")[1] not in TEXTURE), name


def test_one_slice_has_texture_within_slices() -> None:
    found = compute_features(*block(z=slice(7, 8)), custom({"binWidth": 25, "force2D": True}))
    assert not found.reasons
    assert np.isfinite(list(found.values.values())).all()


def test_voxels_that_do_not_touch_have_no_texture() -> None:
    scan, region = block()
    apart = sitk.GetArrayFromImage(region)
    apart[1::2], apart[:, 1::2], apart[:, :, 1::2] = 0, 0, 0
    found = compute_features(scan, image_like(apart, region), PLAIN)
    assert found.reasons == {"no_texture": "no two of the region's 180 voxels touch in 3-D"}
    assert np.isnan(found.values["original_ngtdm_Contrast"])


def test_bins_that_are_far_too_narrow_are_refused() -> None:
    with pytest.raises(UnusableCase, match="grey levels; at most 1000") as caught:
        compute_features(*block(), custom({"binWidth": 0.01}))
    assert caught.value.code == "many_levels"


def test_the_order_of_the_axes_changes_nothing() -> None:
    settings = custom({"binWidth": 25}, {"Original": {}, "LoG": {"sigma": [2.0]}, "Wavelet": {}})
    pair = block()
    upright = compute_features(*pair, settings)
    turned = compute_features(*(orient(image, "SRA") for image in pair), settings)
    assert turned == upright


def test_a_filter_narrower_than_the_voxels_has_no_values() -> None:
    found = compute_features(*block(), custom({"binWidth": 9}, {"LoG": {"sigma": [1.0, 2.0]}}))
    assert list(found.reasons) == ["narrow_filter"]
    assert found.reasons["narrow_filter"] == "a LoG of 1 mm is too narrow for voxels of 1×1×2 mm"
    for name, value in found.values.items():
        assert np.isfinite(value) != name.startswith("log-sigma-1-0"), name
        assert np.isfinite(value) != (name in found.explained), name


@pytest.mark.parametrize("binning", [{"binWidth": 25}, {"binCount": 16}])
def test_a_flat_region_has_one_grey_level(binning: dict[str, Any]) -> None:
    flat = block(lambda v, inside: np.where(inside, 70.0, v))
    values = compute_features(*flat, custom(binning)).values
    assert values["original_firstorder_Mean"] == 70
    assert values["original_firstorder_Variance"] == 0
    assert values["original_firstorder_Kurtosis"] == 3
    assert values["original_glcm_JointEnergy"] == pytest.approx(1)
    assert values["original_glszm_LargeAreaEmphasis"] == 1560**2


def test_tenths_of_hu_are_rounded() -> None:
    tenths = compute_features(*block(lambda v, _: np.round(v, 1)), PLAIN).values
    whole = compute_features(*block(lambda v, _: np.rint(np.round(v, 1))), PLAIN).values
    assert tenths == whole
    assert tenths["original_firstorder_Maximum"] % 1 == 0


def test_anisotropic_voxels_end_up_on_the_grid_asked_for() -> None:
    scan, region = block()
    for image in (scan, region):
        image.SetSpacing((0.7, 0.7, 5.0))
    settings = read({"setting": {"resampledPixelSpacing": [1, 1, 1]}}, {})
    prepared = prepare(scan, region, settings)
    assert prepared.spacing_mm == (1.0, 1.0, 1.0)
    assert prepared.shape.shape == (50, 9, 9)
    volume = compute_features(scan, region, custom({"resampledPixelSpacing": [1, 1, 1]})).values
    assert volume["original_shape_VoxelVolume"] == pytest.approx(1560 * 2.45, rel=0.06)


def test_a_large_plane_is_measured_in_its_box() -> None:
    voxels = np.full((6, 1024, 1024), -1000, np.int16)
    voxels[1:5, 500:540, 480:530] = np.random.default_rng(0).integers(0, 200, (4, 40, 50))
    inside = np.zeros(voxels.shape, np.uint8)
    inside[1:5, 500:540, 480:530] = 1
    found = compute_features(sitk.GetImageFromArray(voxels), sitk.GetImageFromArray(inside), PLAIN)
    assert found.values["original_shape_VoxelVolume"] == 8000


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_crop_changes_no_bit(cut: int, phantom: Phantom) -> None:
    """Whatever lies farther away than the filters look; odd and even numbers of voxels."""
    settings = custom({"binWidth": 20}, {"Original": {}, "LoG": {"sigma": [3.0]}, "Wavelet": {}})
    region = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    whole = compute_features(phantom.image, region, settings).values
    cropped = (phantom.image[cut:-3, 2 * cut :, :], region[cut:-3, 2 * cut :, :])
    assert compute_features(*cropped, settings).values == whole


def test_nothing_depends_on_the_number_of_threads(phantom: Phantom) -> None:
    region = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    settings = load_feature_settings("pancreas_ct_filters")
    found = []
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    for threads in (1, 2):
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        with threadpoolctl.threadpool_limits(threads):
            found.append(compute_features(phantom.image, region, settings).values)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert found[0] == found[1]


def test_nothing_depends_on_what_was_measured_before(phantom: Phantom) -> None:
    region = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    settings = load_feature_settings("pancreas_ct")
    first = compute_features(phantom.image, region, settings).values
    compute_features(*block(), PLAIN)
    compute_features(phantom.image, region, load_feature_settings("pyradiomics_default"))
    assert compute_features(phantom.image, region, settings).values == first


def test_pyradiomics_itself_stays_as_it_was(phantom: Phantom) -> None:
    def state() -> list[Any]:
        modules = (imageoperations, featureextractor, base)
        return [{k: id(v) for k, v in vars(module).items()} for module in modules]

    region = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    extractor = featureextractor.RadiomicsFeatureExtractor(additionalInfo=False)
    before = (state(), extractor.execute(phantom.image, region))
    compute_features(phantom.image, region, load_feature_settings("pancreas_ct"))
    compute_features(phantom.image, region, load_feature_settings("pyradiomics_default"))
    assert (state(), extractor.execute(phantom.image, region)) == before


def test_bins_of_one_width_start_at_the_range_or_at_the_lowest_value() -> None:
    values = np.array([12.0, 21.9, 22.0, 40.0])
    width, count = Binning(binWidth=10), Binning(binCount=4)
    assert discretised(values, width, None).tolist() == [1, 1, 2, 3]
    assert discretised(values, width, -10.0).tolist() == [3, 4, 4, 6]
    assert discretised(values, count, None).tolist() == [1, 2, 2, 4]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"setting": {"normalize": True}}, "no setting 'normalize'"),
        ({"setting": {"interpolator": "sitkGaussian"}}, "mode ibsi has sitkLinear"),
        ({"imageType": {"Square": {}}}, "no imageType 'Square'"),
        ({"imageType": {"LoG": {}}}, "LoG needs sigma"),
        ({"imageType": {"Wavelet": {"level": 2}}}, "no 'level' for imageType Wavelet"),
        ({"imageType": {"Wavelet": {"wavelet": "db99"}}}, "wavelet: unknown wavelet 'db99'; pywt"),
        ({"featureClass": {"shape2D": None}}, "no featureClass 'shape2D'"),
        ({"featureClass": {"glcm": ["Contrast", "Conrast"]}}, "no feature Conrast"),
        ({"setting": {"binWidth": 5, "binCount": 5}}, "either binWidth or binCount"),
        ({"setting": {"resegmentRange": [5, 5]}}, "a lower and a higher value"),
        ({"setting": {"binCount": 1001}}, r"^imageType\.Original\.binCount: .* 1000"),
        ({"voxelSetting": {}}, "no key voxelSetting"),
        ({"setting": [1, 2]}, "setting must be a mapping"),
        ({"imageType": ["Original"]}, "imageType must be a mapping"),
        ({"imageType": {"LoG": [2.0]}}, "imageType LoG must be a mapping"),
        ({"imageType": {"LoG": {"sigma": [2.0, 2]}}}, "different widths"),
        ({"imageType": {"LoG": {"sigma": [-1.0]}}}, r"^imageType\.LoG\.sigma: "),
        ({"imageType": {"Original": {"binWidth": -1}}}, r"^imageType\.Original\.binWidth: "),
        ({"featureClass": {"glcm": "Idm"}}, "must be a list of features"),
        ({"setting": {"resampledPixelSpacing": [1, 1]}}, r"^setting\.resampledPixelSpacing: "),
        (
            {"setting": {"label": 1.5}},
            r"^setting\.label: Input should be a valid integer.*, not 1.5",
        ),
        (
            {"setting": {"label": 0}},
            r"^setting\.label: 0 is out of range \(expected 1–2,147,483,647\)$",
        ),
        ({"setting": {"force2D": "yes"}}, r"^setting\.force2D: .* boolean, not 'yes'$"),
        ({"setting": {"resegmentRange": [-np.inf, 9]}}, "bins of one width start at .* -inf"),
    ],
)
def test_words_without_a_counterpart_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_feature_settings(FeatureSettings(name="custom", mode="ibsi", parameters=parameters))


@pytest.mark.parametrize(
    ("additions", "message"),
    [
        (
            {"outlier_sigm": 3},
            r"^pancseg\.ibsi has no outlier_sigm; it has hu, outlier_sigma, by_s",
        ),
        ({"range_hu": [0, 9]}, r"^pancseg\.ibsi has no range_hu; it has hu, outlier_sigma, by_s"),
        ({"outlier_sigma": "3e0"}, r"^pancseg\.ibsi\.outlier_sigma: '3e0' is text, not"),
        ({"outlier_sigma": -1}, r"^pancseg\.ibsi\.outlier_sigma: .* greater than 0, not -1$"),
        ({"hu": "false"}, r"^pancseg\.ibsi\.hu: .* boolean, not 'false'$"),
    ],
)
def test_additions_without_a_meaning_are_refused(additions: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_feature_settings(PLAIN.model_copy(update={"ibsi": additions}))


def test_what_only_ibsi_has_is_refused_elsewhere() -> None:
    settings = load_feature_settings("pyradiomics_default")
    with pytest.raises(ValueError, match="outlier_sigma needs the mode ibsi"):
        check_feature_settings(settings.model_copy(update={"ibsi": {"outlier_sigma": 3}}))


@pytest.mark.parametrize("rounded", [float(np.float32(0.8)), 0.8 + 1e-8, 0.8 - 1e-8])
def test_how_a_format_rounds_a_distance_moves_no_grid(rounded: float) -> None:
    """20 slices of 0.8 mm are 16 of 1 mm, in NIfTI's single precision, too."""
    settings = custom({"binWidth": 25, "resampledPixelSpacing": [1, 1, 1]})
    scan, region = block()
    found = []
    for distance in (0.8, rounded):
        for image in (scan, region):
            image.SetSpacing((1.0, 1.0, distance))
        found.append(extract_features(scan, region, settings))
    assert found[0] == found[1]


@pytest.mark.parametrize("pixel", [0.5859375, 0.7421875, 0.87890625, 0.8984375])
def test_fields_of_whole_millimetres_have_as_many_voxels(pixel: float) -> None:
    """512 pixels of a field of 300, 380, 450 and 460 mm: a voxel more would move all of them."""
    found = ResamplingGrid((1, 512, 512), rounded((1.0, pixel, pixel)), (1.0, 1.0, 1.0))
    assert found.new_shape == (1, round(512 * pixel), round(512 * pixel))


def test_a_grid_covers_the_scan() -> None:
    for count, own, new, expected in ((250, 0.8, 1.0, 200), (251, 0.8, 1.0, 201), (7, 3, 2, 11)):
        assert ResamplingGrid((count, 1, 1), (own, 1, 1), (new, 1, 1)).new_shape[0] == expected
    assert ResamplingGrid((299, 1, 1), (1.0000000134, 1, 1), (1, 1, 1)).new_shape[0] == 299


def test_slices_are_averaged_over_the_same_slices_in_every_feature() -> None:
    """A slice of one row has no pair in most directions, one of scattered voxels has none."""
    rng = np.random.default_rng(3)
    inside = np.zeros((4, 8, 8), bool)
    inside[0, 2:7, 2:7] = inside[1, 2:7, 1:6] = inside[2, 4, 1:7] = True
    inside[3, ::3, ::3] = True
    levels = np.zeros(inside.shape, int)
    levels[inside] = rng.integers(1, 6, int(inside.sum()))
    grey = grey_levels(levels[inside], neighbours(inside, plane=0, by_slice=True))
    voxels = classes.RegionVoxels(levels[inside].astype(float), grey, (1.0, 1.0, 1.0))
    texture = classes.Texture(isolated=False)
    found = classes.compute(voxels, texture, {"glcm": None, "ngtdm": None})
    assert found["glcm_JointAverage"] == pytest.approx(found["glcm_SumAverage"] / 2)
    inside[3] = False
    grey = grey_levels(levels[inside], neighbours(inside, plane=0, by_slice=True))
    voxels = classes.RegionVoxels(levels[inside].astype(float), grey, (1.0, 1.0, 1.0))
    without = classes.compute(voxels, texture, {"ngtdm": None})
    assert {k: v for k, v in found.items() if k in without} == pytest.approx(without)
