"""Of a study's series the portal-venous axial thin soft-tissue one is taken; ties are listed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from dicom_series import write_series
from dicom_study import ARTERIAL, PORTAL, SCOUT, STUDY, TYPICAL, write_study

from pancseg import UnusableCase, judge_scan, read_scan
from pancseg.scans.dicom.candidates import choose, is_sharp
from pancseg.scans.dicom.located import located
from pancseg.scans.dicom.study import series_below


def chosen(folder: Path) -> str:
    """Return the names of the folders of the candidates."""
    names = [each.folder.name for each in choose(series_below(folder)).candidates if each.folder]
    return " ".join(names)


def refusal(path: Path, **options: str) -> UnusableCase:
    with pytest.raises(UnusableCase) as caught:
        read_scan(path, **options)
    for text in ("Doe", "4711", "20010101", STUDY, path.name):
        assert text not in caught.value.fact
    return caught.value


UNNAMED: dict[str, Any] = {"SeriesDescription": "Abdomen"}


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (TYPICAL, "ven1"),
        ({"a": PORTAL, "b": PORTAL | {"gap": 0.95}}, "a b"),
        ({"a": PORTAL, "b": UNNAMED}, "a"),
        ({"a": PORTAL | {"gap": 6.0}, "b": ARTERIAL}, ""),
        ({"a": PORTAL | {"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "b": ARTERIAL}, ""),
        ({"a": PORTAL, "b": PORTAL | {"ConvolutionKernel": "LUNG"}}, "a"),
        ({"a": PORTAL, "b": PORTAL | {"ConvolutionKernel": "unheard of"}}, "a b"),
        ({"a": ARTERIAL, "b": UNNAMED}, ""),
        ({"a": ARTERIAL, "b": SCOUT}, "a"),  # the only volume
        ({"a": UNNAMED, "b": UNNAMED | {"gap": 3.0}}, "a b"),  # one may be arterial
        ({"a": UNNAMED, "b": UNNAMED | {"ConvolutionKernel": "B70f"}}, "a"),
        ({"a": UNNAMED | {"ContrastBolusAgent": "without"}, "b": UNNAMED}, "b"),
    ],
)
def test_the_rules(series: dict[str, dict[str, Any]], expected: str, tmp_path: Path) -> None:
    write_study(tmp_path, **series)
    assert chosen(tmp_path) == expected


def test_every_series_says_why_it_does_not_fit(tmp_path: Path) -> None:
    write_study(tmp_path, **TYPICAL)
    series = series_below(tmp_path)
    reasons = dict(
        zip([s.folder.name for s in series if s.folder], choose(series).against, strict=True)
    )
    assert reasons == {
        "scout": "localizer",
        "art": "phase arterial",
        "ven5": "thicker than the thinnest that fits (1 mm)",
        "ven1": "",
        "lung": "sharp kernel Bl57d",
        "cor": "coronal",
    }


@pytest.mark.parametrize("depth", ["", "DICOM/PA000000/ST000000"])
@pytest.mark.parametrize("flat", [False, True])
def test_a_study_is_read_at_any_depth(depth: str, flat: bool, tmp_path: Path) -> None:
    made = tmp_path / "P1" / depth
    write_study(made, **TYPICAL)
    if flat:
        for path in made.glob("*/*"):
            path.rename(made / f"{path.parent.name}{path.name}")
        for path in [p for p in made.iterdir() if p.is_dir()]:
            path.rmdir()
    image = read_scan(tmp_path / "P1")
    assert image.GetSize() == (5, 6, 6)
    assert image.GetSpacing()[2] == 1
    choice = judge_scan(image).values["qc_series_choice"]
    assert choice == "portal_venous, 1 mm, Br40d, 5×6×6, of 6 series"


def test_a_tie_lists_the_candidates(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", a=PORTAL, b=PORTAL | {"ConvolutionKernel": "Br36d"}, c=ARTERIAL)
    error = refusal(tmp_path / "P1")
    assert error.code == "several_series"
    assert "3 DICOM series in the folder, 2 fit equally well" in error.fact
    assert "portal_venous, 1 mm, Br40d, 5×6×6; portal_venous, 1 mm, Br36d, 5×6×6" in error.fact
    assert "arterial" not in error.fact
    assert read_scan(tmp_path / "P1", series_uid=".300").GetSize() == (5, 6, 6)
    assert refusal(tmp_path / "P1", series_uid="99").code == "no_series"


def test_where_none_fits_the_volumes_are_listed_with_what_is_wrong(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", a=ARTERIAL, b=PORTAL | {"ConvolutionKernel": "BONE"})
    assert "none fits: arterial, 1 mm, Br40d, 5×6×6 (phase arterial); portal_venous, 1 mm" in (
        refusal(tmp_path / "P1").fact
    )


def test_a_study_without_a_ct_is_listed(tmp_path: Path) -> None:
    mr = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}
    seg = {"Modality": "SEG", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "count": 1}
    write_study(tmp_path / "P1", a=mr, b=seg)
    error = refusal(tmp_path / "P1")
    assert "no CT series in the folder (it holds 1 MR, 1 SEG)" in error.fact


def test_two_patients_in_a_folder_are_not_mixed(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", a=PORTAL, b=ARTERIAL | {"PatientID": "other"})
    assert "2 DICOM series of 2 patients" in refusal(tmp_path / "P1").fact


def test_a_series_is_not_taken_because_another_study_has_none(tmp_path: Path) -> None:
    """Study a has no series that fits, and study b is a CT of the head alone."""
    write_study(tmp_path / "a", art=ARTERIAL, nat=UNNAMED)
    head = {"StudyInstanceUID": "1.2.9", "SeriesDescription": "Head", "ConvolutionKernel": "H60f"}
    write_study(tmp_path / "b", head=head)
    error = refusal(tmp_path)
    assert error.code == "several_series"
    assert error.fact.startswith(
        "3 DICOM series of 2 studies are in the folder, and the rules choose one in a single study "
        "(no phase, 1 mm, H60f, 5×6×6); give each study a line of a manifest"
    )
    assert read_scan(tmp_path / "b").GetSize() == (5, 6, 6)


def test_slices_under_another_uid_do_not_vanish(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", a=PORTAL | {"count": 5})
    write_series(
        tmp_path / "P1" / "b", [5.0], "1.2.3", StudyInstanceUID=STUDY, PatientID="MRN-4711",
        SliceThickness=1,
    )  # fmt: skip
    assert "1 other series may hold slices of it" in refusal(tmp_path / "P1").fact


def test_the_kernels_of_vendors() -> None:
    soft = ("B30f", "I31f/3", "Br40d/3", "STANDARD", "SOFT", "B", "FC08", "B_SOFT_B", "other", "")
    assert not any(map(is_sharp, soft))
    sharp = ("B70f", "Bl57d", "Br59d/3", "LUNG", "BONEPLUS", "EDGE", "FC52", "YC", "D")
    assert all(map(is_sharp, sharp))


def test_copies_of_a_series_in_another_folder_are_no_tie(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", a=PORTAL, b=ARTERIAL)
    (tmp_path / "P1" / "backup").mkdir()
    for path in (tmp_path / "P1" / "a").iterdir():
        (tmp_path / "P1" / "backup" / path.name).write_bytes(path.read_bytes())
    assert located(tmp_path / "P1").place == tmp_path / "P1" / "a"
    assert read_scan(tmp_path / "P1").GetSize() == (5, 6, 6)


def test_facts_hold_no_text_of_the_header(tmp_path: Path) -> None:
    write_study(
        tmp_path,
        a=PORTAL | {"ConvolutionKernel": "Doe Jane", "Modality": "DOE", "SOPClassUID": "1.2.3"},
    )
    (series,) = series_below(tmp_path)
    shown = dataclasses.asdict(series.first)
    for hidden in ("file", "patient", "study_uid", "study_time", "series_uid", "instance_uid"):
        del shown[hidden]
    assert "Doe" not in str(shown)
    assert "DOE" not in str(shown)
