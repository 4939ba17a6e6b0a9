"""Mode ``pyradiomics``: pyradiomics's own values for any of its parameter files, in less time.

Checks, filters and formulas are pyradiomics's. It is only given less to do: the box around the
region instead of the whole volume, and matrices that are counted once.
"""

from __future__ import annotations

import copy
import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pykwalify.core
import radiomics
import SimpleITK as sitk
from numpy.typing import NDArray
from pykwalify.errors import PyKwalifyException
from radiomics import imageoperations
from radiomics.featureextractor import RadiomicsFeatureExtractor

from pancseg.errors import UnusableCase
from pancseg.features.neighbours import Neighbours, neighbours
from pancseg.features.pyradiomics import classes
from pancseg.features.pyradiomics.filter_extent import reached
from pancseg.features.pyradiomics.level_limits import MATRICES, check_bins, check_matrices
from pancseg.features.pyradiomics.preparation import cut, prepared
from pancseg.features.pyradiomics.shape import ShapeFeatures
from pancseg.features.result import FeatureResult, measured_region
from pancseg.features.texture_matrices import grey_levels
from pancseg.reasons import ReasonCode
from pancseg.scans.arrays import voxel_array
from pancseg.scans.bounding_box import BoundingBox, box_of

log = logging.getLogger(__name__)

_REFUSALS: dict[str, ReasonCode] = {
    "mask only contains": "too_small",
    "mask has too few": "too_small",
    "Size of the ROI": "too_small",
    "No labels found": "too_small",
    "Label (": "too_small",
    "Resegmentation excluded": "resegmented",
}
"""The beginnings of pyradiomics's own refusals, and the reason code of each."""

_NO_INTERPOLATOR = 3
"""pyradiomics takes this number, which was once SimpleITK's of the B-spline."""

_NOT_COUNTED_HERE = {"weightingNorm": None, "distances": [1], "voxelArrayShift": 0}
"""Settings for which counting is left to pyradiomics unless they have this value."""


def compute(
    scan: sitk.Image,
    region: sitk.Image,
    parameters: dict[str, Any],
    additions: dict[str, Any] | None = None,
) -> FeatureResult:
    """Return pyradiomics's features of one region, under pyradiomics's names.

    Args:
        scan: the volume, HU.
        region: uint8, 1 inside; on the scan's grid, or on another one, from which it is resampled.
        parameters: a pyradiomics parameter file as a dictionary.
        additions: ignored; mode ``pyradiomics`` has no settings beyond pyradiomics's own.

    Raises:
        UnusableCase: ``too_small`` or ``resegmented``, when pyradiomics refuses the region;
            ``empty_mask``, ``geometry``, ``not_hu``, ``not_flat``, ``fine_grid``,
            ``many_levels``.
        ValueError: the parameters are not valid.
    """
    extractor = _extractor(parameters)
    with _quiet():
        try:
            result = extractor.measure(scan, region)
        except ValueError as error:
            message = " ".join(str(error).split())
            for beginning, code in _REFUSALS.items():
                if message.startswith(beginning):
                    raise UnusableCase(code, f"no features from this mask: {message}") from error
            raise
    values = {name: float(value) for name, value in result.items()}
    if failed := [name for name, value in values.items() if not math.isfinite(value)]:
        log.info("pyradiomics could not compute %s", ", ".join(failed))
    without = extractor.too_wide(values)
    reasons: dict[ReasonCode, str] = {}
    if without:
        reasons["wide_filter"] = _too_wide(min(without), extractor.spacing_mm)
    missing = dict.fromkeys((name for names in without.values() for name in names), math.nan)
    values = extractor.in_order({**values, **missing})
    return FeatureResult(
        values,
        reasons,
        extractor.spacing_mm,
        extractor.resegmented_share,
        frozenset(missing),
        extractor.measured,
    )


def check(parameters: dict[str, Any], additions: dict[str, Any] | None = None) -> None:
    """Raise ValueError when pyradiomics would not accept these parameters."""
    if additions:
        raise ValueError(f"{', '.join(additions)} needs the mode ibsi")
    if (parameters.get("setting") or {}).get("interpolator") == _NO_INTERPOLATOR:
        raise ValueError(
            "setting.interpolator: 3 is no interpolator any more; write its name, sitkBSpline"
        )
    _extractor(parameters)


class _Extractor(RadiomicsFeatureExtractor):  # type: ignore[misc] # pyradiomics is not typed
    """pyradiomics's extractor without the work that changes no value."""

    spacing_mm: tuple[float, ...] = ()
    """Voxel size (x, y, z) of the last region measured."""

    resegmented_share: float | None = None
    """Share left of the last region measured; None if the settings ask for no re-segmentation."""

    measured: sitk.Image | None = None
    """The last region measured, on the features' grid; None if pyradiomics alone knows it."""

    _around: tuple[int | None, NDArray[np.bool_], Neighbours] | None = None

    def _setTolerance(self) -> None:  # noqa: N802
        """Leave SimpleITK's tolerance, which is the whole process's, as it is.

        Scan and region are on one grid before SimpleITK compares them.
        """

    def measure(self, scan: sitk.Image, region: sitk.Image) -> dict[str, float]:
        """Return what ``execute`` would, but read only the part of the scan that each filter needs.

        Args:
            scan: the volume.
            region: uint8, 1 inside.
        """
        settings = {**self.settings, "label": 1}
        found = box_of(voxel_array(region) != 0)
        if found is None:
            raise UnusableCase("empty_mask", "no voxel of the region is set")
        image, mask, box = prepared(scan, region, found, settings)
        small, inside = cut(image, box), cut(mask, box)
        bounds, _ = imageoperations.checkMask(small, inside, **settings)
        whole, self.spacing_mm = inside, image.GetSpacing()
        if settings.get("resegmentRange") is not None:
            inside = imageoperations.resegmentMask(small, inside, **settings)
            self.resegmented_share = _voxels(inside) / _voxels(whole)
            bounds, _ = imageoperations.checkMask(small, inside, **settings)
        self.measured = measured_region(voxel_array(whole) == 1, voxel_array(inside) == 1)
        self.measured.CopyInformation(whole)
        values = self.computeShape(
            small, inside if settings.get("resegmentShape") else whole, bounds, **settings
        )
        left = BoundingBox(
            tuple(int(a + n) for a, n in zip(box.start, bounds[::2][::-1], strict=True)),
            tuple(int(n) + 1 for n in (bounds[1::2] - bounds[::2])[::-1]),
        )
        inside = cut(inside, left.within(box))
        shape, spacing = voxel_array(image).shape, image.GetSpacing()[::-1]
        for kind, custom in self.enabledImagetypes.items():
            part = reached({kind: custom}, settings, box, shape, spacing)
            images = getattr(imageoperations, f"get{kind}Image")(
                cut(image, part), cut(mask, part), **{**settings, **(custom or {})}
            )
            for filtered, name, own in images:
                cropped = cut(filtered, left.within(part))
                values.update(self.computeFeatures(cropped, inside, name, **own))
        return values

    def too_wide(self, values: Mapping[str, float]) -> dict[float, list[str]]:
        """Return the LoGs that pyradiomics silently skipped: sigma in mm → feature names.

        It skips a filter that is wider than the scan, or than the part of it that was resampled.
        """
        names = classes.names_of(self.enabledFeatures)
        if "LoG" not in self.enabledImagetypes or not names:
            return {}
        images = {name.partition("_")[0] for name in values}
        logs = self._logs().items()
        return {s: [f"{log}_{n}" for n in names] for s, log in logs if log not in images}

    def in_order(self, values: dict[str, float]) -> dict[str, float]:
        """Return values in pyradiomics's order, including those of a LoG that it skipped.

        The columns of a table must not depend on which of its rows comes first.
        """
        logs = list(self._logs().values())
        kinds = [_IMAGES.get(kind, kind.lower()) for kind in self.enabledImagetypes]

        def position(name: str) -> tuple[int, int]:
            image, of_class = name.split("_")[:2]
            if of_class in ("shape", "shape2D"):
                return -1, 0
            kind = next(i for i, k in enumerate(kinds) if re.match(rf"{k}\d*(-|$)", image))
            return kind, logs.index(image) if image in logs else 0

        return {name: values[name] for name in sorted(values, key=position)}

    def _logs(self) -> dict[float, str]:
        """Return the LoGs that the settings ask for: sigma in mm → name of the image."""
        own = {**self.settings, **(self.enabledImagetypes.get("LoG") or {})}
        widths = own.get("sigma") or () if "LoG" in self.enabledImagetypes else ()
        return {s: f"log-sigma-{str(s).replace('.', '-')}-mm-3D" for s in widths}

    def computeShape(  # noqa: N802
        self, image: sitk.Image, mask: sitk.Image, box: NDArray[np.int64], **settings: Any
    ) -> dict[str, float]:
        """Return pyradiomics's shape features."""
        if "shape2D" in self.enabledFeatures:
            _check_flat(box, settings)
            flat: dict[str, float] = super().computeShape(image, mask, box, **settings)
            return flat
        if "shape" not in self.enabledFeatures:
            return {}
        self.spacing_mm = image.GetSpacing()
        _, cropped = imageoperations.cropToTumorMask(image, mask, box)
        shape = ShapeFeatures(
            voxel_array(cropped) == 1, cropped.GetSpacing()[::-1], sample_covariance=False
        )
        values = classes.execute(shape, self.enabledFeatures["shape"])
        return {f"original_shape_{name}": value for name, value in values.items()}

    def computeFeatures(  # noqa: N802
        self, image: sitk.Image, mask: sitk.Image, name: str, **settings: Any
    ) -> dict[str, float]:
        """Return pyradiomics's features of one (filtered) image, cropped to the region."""
        self.spacing_mm = image.GetSpacing()
        inside = voxel_array(mask) == 1
        values = voxel_array(image)[inside]
        if values.dtype.kind in "iu" and values.dtype.itemsize < 4:
            # The bins' edges go beyond the highest value, and may not fit into int16.
            image, values = sitk.Cast(image, sitk.sitkInt32), values.astype(np.int32)
        if not np.isfinite(values).all():
            raise UnusableCase(
                "not_hu",
                "voxels in the region are not finite (NaN or infinity); export the scan again",
            )
        ends = np.array([values.min(), values.max()])
        check_bins(ends, settings)
        levels = np.digitize(values, imageoperations.getBinEdges(ends, **settings))
        others = any(settings.get(key, usual) != usual for key, usual in _NOT_COUNTED_HERE.items())
        slowly = bool(others or levels.min() < 1)
        if MATRICES & set(self.enabledFeatures):
            check_matrices(levels, settings, every_level=slowly)
        if slowly:
            slow: dict[str, float] = super().computeFeatures(image, mask, name, **settings)
            return slow
        plane = settings.get("force2Ddimension", 0) if settings.get("force2D") else None
        found = classes.compute(
            classes.RegionVoxels(
                intensities=values.astype(float),
                levels=grey_levels(levels, self._neighbours(inside, plane)),
                spacing_mm=image.GetSpacing(),
            ),
            classes.Texture(
                symmetrical=settings.get("symmetricalGLCM", True),
                gldm_tolerance=settings.get("gldm_a", 0),
            ),
            self.enabledFeatures,
        )
        return {f"{name}_{feature}": value for feature, value in found.items()}

    def _neighbours(self, inside: NDArray[np.bool_], plane: int | None) -> Neighbours:
        """Return the neighbours of the region's voxels, computed once for equal regions."""
        known = self._around
        if known is None or known[0] != plane or not np.array_equal(known[1], inside):
            known = self._around = (plane, inside, neighbours(inside, plane=plane))
        return known[2]


_IMAGES = {"LoG": "log", "LBP2D": "lbp-2D", "LBP3D": "lbp-3D"}
"""How the names of images begin that do not begin with their type in lower case."""


def _too_wide(sigma_mm: float, spacing_mm: tuple[float, ...]) -> str:
    """Return the fact about the narrowest LoG without values."""
    voxels = "×".join(str(max(math.ceil(sigma_mm / side) + 1, 4)) for side in spacing_mm)
    sides = "×".join(f"{side:.4g}" for side in spacing_mm)
    return (
        f"a LoG of {sigma_mm:g} mm needs {voxels} voxels of {sides} mm around the region, "
        "more than are available"
    )


def _check_flat(box: NDArray[np.int64], settings: dict[str, Any]) -> None:
    """Refuse a region that is not flat where the settings ask for 2-D shapes.

    Args:
        box: first and last voxel along x, then y, then z.
        settings: pyradiomics's settings.
    """
    thick = int((box[1::2] - box[::2] + 1)[::-1][settings.get("force2Ddimension", 0)])
    if settings.get("force2D") and thick > 1:
        raise UnusableCase(
            "not_flat",
            f"the region is {thick} voxels thick, but shape2D needs 1; list feature classes "
            "without it (featureClass)",
        )


def _voxels(mask: sitk.Image) -> int:
    return int(np.count_nonzero(voxel_array(mask) == 1))


def _extractor(parameters: dict[str, Any]) -> _Extractor:
    with _quiet():
        try:
            extractor = _Extractor(copy.deepcopy(parameters))
        except (PyKwalifyException, AttributeError, KeyError, TypeError, ValueError) as error:
            problem = error.msg if isinstance(error, PyKwalifyException) else error
            reason = " ".join(str(problem).split())
            raise ValueError(f"pyradiomics does not accept these settings: {reason}") from error
    extractor.addProvenance(False)
    return extractor


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the loggers of pyradiomics and its validator for one call."""
    loggers = [radiomics.logger, pykwalify.core.log]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
