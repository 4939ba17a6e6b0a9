"""The memory that features take is known before they are computed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from pancseg import FeatureSettings, UnusableCase, load_feature_settings
from pancseg.features.memory import check_memory, needed_bytes, size_of, typical_bytes
from pancseg.scans.arrays import image_like

SIDE = 84
MEASURE = """
import json, sys
from pathlib import Path
from test_features_memory import settings_of, sphere
from pancseg.features.check import check_feature_settings
from pancseg.features.extract import compute_features
from pancseg.running.memory import PeakMemory

settings = settings_of(json.loads(sys.argv[1]))
check_feature_settings(settings)  # imports and caches
scan, region = sphere()
before = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
peak = PeakMemory()
compute_features(scan, region, settings)
print(peak.bytes() - before)
"""
CASES: dict[str, dict[str, Any]] = {
    "texture": {"setting": {"resampledPixelSpacing": [0.8, 0.8, 0.8]}},
    "wavelets": {
        "setting": {"resampledPixelSpacing": [0.8, 0.8, 0.8]},
        "imageType": {"Wavelet": {}},
        "featureClass": {"firstorder": None},
    },
    "own voxels": {"imageType": {"Original": {}, "LoG": {"sigma": [2.0]}}},
}


def settings_of(parameters: dict[str, Any], mode: str = "pyradiomics") -> FeatureSettings:
    mode = parameters.pop("mode", mode)
    return FeatureSettings(name="custom", mode=mode, parameters=parameters)


def sphere() -> tuple[sitk.Image, sitk.Image]:
    """Return a noisy scan with voxels of 1 mm, and a sphere of 150 mL in it."""
    noise = np.random.default_rng(0).standard_normal((SIDE,) * 3, dtype=np.float32)
    scan = sitk.GetImageFromArray((noise * 20 + 80).astype(np.int16))
    scan[0, 0, 0] = -1000
    z, y, x = ((each - SIDE / 2) ** 2 for each in np.ogrid[:SIDE, :SIDE, :SIDE])
    return scan, image_like((z + y + x < 33**2).astype(np.uint8), scan)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is not known")
@pytest.mark.parametrize("mode", ["ibsi", "pyradiomics"])
@pytest.mark.parametrize("name", CASES)
def test_features_take_no_more_than_is_foretold_and_not_much_less(name: str, mode: str) -> None:
    parameters = {**CASES[name], "mode": mode}
    command = [sys.executable, "-c", MEASURE, json.dumps(parameters)]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True
    )
    took = int(done.stdout)
    settings = settings_of(dict(CASES[name]), mode)
    size = size_of(*sphere(), settings)
    assert size is not None
    assert took <= needed_bytes(size, settings) <= 2.5 * took


def test_a_region_that_does_not_fit_is_refused_with_numbers_and_remedy() -> None:
    scan, region = sphere()
    settings = settings_of({"setting": {"resampledPixelSpacing": [0.2, 0.2, 0.2]}})
    fact = (
        r"features of about 18,\d{3},\d{3} voxels of 0.2×0.2×0.2 mm need about 1\d\.\d GB, but "
        r"only 0.5 GB are left of `memory_bytes`; raise it, or choose larger voxels"
    )
    with pytest.raises(UnusableCase, match=fact) as caught:
        check_memory(scan, region, settings, 500_000_000)
    assert caught.value.code == "memory"
    check_memory(scan, region, settings_of({}), 500_000_000)
    check_memory(scan, region * 0, settings, 0)


def test_finer_grids_and_more_filters_take_more() -> None:
    few, more = (load_feature_settings(n) for n in ("pyradiomics_default", "pancreas_ct_filters"))
    fine = settings_of({"setting": {"resampledPixelSpacing": [0.3, 0.3, 0.3]}})
    sizes = [typical_bytes(each, 20_000_000) for each in (few, more, fine)]
    assert sizes == sorted(sizes)
    assert sizes[1] < 10**9 < sizes[2]
    levels = settings_of({"setting": {"binCount": 1000}})
    assert typical_bytes(levels, 20_000_000) > sizes[0] + 400_000_000
