"""A cohort's scans become one row per region, or the options say what contradicts what."""

from __future__ import annotations

from pathlib import Path

import pytest

from pancseg import Case
from pancseg.cohort.regions import named_regions, one_per_region, one_per_scan, with_label

IMAGE, MASK = Path("a.nii.gz"), Path("m.nii.gz")


def test_names_and_expressions_keep_their_order() -> None:
    regions = named_regions(["tumour=2", "ring 5 = ring(1,2;5mm)", "Bauchspeicheldrüse=1,2"])
    assert list(regions) == ["tumour", "ring 5", "Bauchspeicheldrüse"]
    assert [str(region) for region in regions.values()] == ["2", "ring(1,2;5mm)", "1,2"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["2"], "`roi` '2': expected NAME=EXPRESSION, such as 'tumour=2'"),
        (["=2"], "`roi` '=2': expected NAME=EXPRESSION"),
        (["a/b=2"], "`roi` 'a/b=2': expected NAME=EXPRESSION"),
        (["a="], "`roi` a: '' is not a region expression; write for example 1,2 or"),
        (["a=1-3"], "`roi` a: '1-3' is not a region expression; write for example 1,2 or"),
        (["a=1", "b=2", "A=3"], "`roi` 'A=3': a region 'A' is given already"),
    ],
)
def test_what_cannot_be_a_region_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match="`roi`") as caught:
        named_regions(texts)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_each_scan_has_a_row_for_each_region() -> None:
    regions = named_regions(["tumour=2", "pancreas=1,2"])
    cases = [Case("P1", IMAGE, MASK), Case("P2", IMAGE, scan_id="b")]
    rows = one_per_region(cases, regions)
    assert [(r.patient_id, r.scan_id, r.roi, str(r.mask_label)) for r in rows] == [
        ("P1", "", "tumour", "2"),
        ("P1", "", "pancreas", "1,2"),
        ("P2", "b", "tumour", "2"),
        ("P2", "b", "pancreas", "1,2"),
    ]
    assert [r.mask for r in rows] == [MASK, MASK, None, None]
    assert one_per_scan(rows) == cases


def test_two_rows_of_one_name_are_refused() -> None:
    regions = named_regions(["pancreas=1", "tumour=2"])
    cases = [Case("P1", IMAGE), Case("p1_Tumour", IMAGE)]
    with pytest.raises(ValueError, match="p1_Tumour in region pancreas and P1 in region tumour"):
        one_per_region(cases, regions)


def test_regions_of_the_manifest_and_of_the_options_contradict() -> None:
    regions = named_regions(["tumour=2"])
    for case in (Case("P1", IMAGE, roi="x"), Case("P1", IMAGE, mask_label=regions["tumour"])):
        with pytest.raises(ValueError, match=r"P1.*names a region too") as caught:
            one_per_region([Case("P0", IMAGE), case], regions)
        assert "\n" not in str(caught.value)


def test_a_label_is_for_given_masks_that_name_none() -> None:
    own = named_regions(["x=2"])["x"]
    cases = [Case("P1", IMAGE, MASK), Case("P2", IMAGE, MASK, own), Case("P3", IMAGE)]
    assert [str(case.mask_label) for case in with_label(cases, 7)] == ["7", "2", "None"]


def test_one_row_per_scan_in_the_order_of_scans() -> None:
    cases = [Case("P1", IMAGE, roi="x"), Case("P2", IMAGE), Case("p1", IMAGE, roi="y")]
    assert one_per_scan(cases) == [Case("P1", IMAGE), Case("P2", IMAGE)]
