"""Cases that a caller makes are held to the rules of a manifest."""

from __future__ import annotations

import pytest

from pancseg import Case, CohortError
from pancseg.cohort.given_cases import checked


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([Case("../P1", "a.nii")], "'../P1': patient_id cannot be a file name"),
        ([Case("P1", "a.nii", scan_id="a/b")], "scan_id cannot be a file name"),
        ([Case("", "a.nii")], "patient_id is empty"),
        ([Case("P1", "a.nii"), Case("p1", "a.nii")], "'p1' occurs twice"),
        (
            [Case("P1", "a.nii"), Case("P1", "b.nii", roi="tumour", mask_label=2)],
            "'P1_tumour' has another image or series_uid than 'P1', but the same ids",
        ),
    ],
)
def test_ids_that_a_manifest_could_not_have_are_refused(cases: list[Case], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        checked(cases)


def test_readers_are_no_formulas_and_other_texts_get_a_quote() -> None:
    with pytest.raises(ValueError, match="begin like formulas"):
        checked([Case("P1", "a.nii", reader="=1+1")])
    case = Case("P1", "a.nii", extra=(("note", "=1+1"), ("age", "-1")))
    assert checked([case])[0].extra == (("note", "'=1+1"), ("age", "-1"))


def test_regions_of_one_scan_are_taken_as_they_are() -> None:
    cases = [Case("P1", "a.nii"), Case("P1", "a.nii", roi="tumour", mask_label=2)]
    assert checked(cases) == cases
