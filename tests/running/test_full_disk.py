"""A disk that fills up under a mask: ITK's writers say nothing, so what they wrote is read back."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk

from pancseg import RunOptions, load_feature_settings, read_cohort, write_scan
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan

HERE = RunOptions(workers=0)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a volume gets onto the disk, and nobody complains."""
    write = sitk.WriteImage

    def cut(image: sitk.Image, name: str, **how: bool) -> None:
        write(image, name, **how)
        path = Path(name)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    monkeypatch.setattr(sitk, "WriteImage", cut)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_volume_that_did_not_get_onto_the_disk_is_an_error(suffix: str, tmp_path: Path) -> None:
    image = sitk.Image(8, 8, 4, sitk.sitkUInt8)
    with pytest.raises(OSError, match="disk full"):
        write_scan(image, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_run_stops_and_the_next_one_gives_the_bytes_of_an_undisturbed_one(
    cohort: Path, tmp_path: Path
) -> None:
    cases = [case for case in read_cohort(cohort) if not case.mask]
    work = ProcessingPlan(
        "run", load_feature_settings(cohort.parent / "quick.yaml"), "monet_phantom"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sitk, "WriteImage", lambda image, name, **how: Path(name).write_bytes(b""))
        with pytest.raises(OSError, match="disk full"):
            run_plan(cases, tmp_path / "out", work, options=HERE)
    assert list((tmp_path / "out" / "masks").glob("*.nii.gz")) == []
    (tmp_path / "out" / "masks" / f"{cases[0].name}.nii.gz").write_bytes(b"")  # a power cut
    for out in ("out", "other"):
        assert all(o.usable for o in run_plan(cases, tmp_path / out, work, options=HERE))
    for name in ("features.csv", *(f"masks/{case.name}.nii.gz" for case in cases)):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
