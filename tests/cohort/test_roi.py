"""The language of regions: what it means, that it can be read back, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pancseg.cohort.roi import EXAMPLES, Labels, Ring, Roi, parse_roi
from pancseg.cohort.roi_tokens import name_key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", Labels((2,))),
        ("2, 1,2", Labels((1, 2))),
        ("1+2", Labels((1, 2))),
        ("all", Labels(None)),
        ("ALL without 3,7", Labels(None, (3, 7))),
        ("1,2 without 2", Labels((1, 2), (2,))),
        ("ring(1,2;5mm)", Ring(Labels((1, 2)), 5)),
        (" Ring ( all without 4 ; 2.50 mm ) ", Ring(Labels(None, (4,)), 2.5)),
        ("ring(1;5mm;-200..300HU)", Ring(Labels((1,)), 5, (-200, 300))),
        ("Tumor|PDAC|mass", Labels(("mass", "pdac", "tumor"))),
        ("Pancreas, 3", Labels((3, "pancreas"))),
        ("pancreas  Head without TUMOUR", Labels(("pancreas head",), ("tumour",))),
        ("'head, left'|\"a|b\"", Labels(("a|b", "head, left"))),
        ("all without 'without'", Labels(None, ("without",))),
        ("Käse_2-x.y", Labels(("käse_2-x.y",))),
        (
            "ring(Pancreas, tumour; 5mm; -100..50HU)",
            Ring(Labels(("pancreas", "tumour")), 5, (-100, 50)),
        ),
        ("ring(1; 5 mm; -100.5 .. -20 hu)", Ring(Labels((1,)), 5, (-100.5, -20))),
    ],
)
def test_expressions_mean_what_they_say(text: str, expected: Roi) -> None:
    assert parse_roi(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a region expression"),
        ("=x", "is not a region expression"),
        ("1st", "is not a region expression"),
        ("all,1", "is not a region expression"),
        ("ring", "is not a region expression"),
        ("'x", "is not a region expression"),
        ("''", "is not a region expression"),
        ("a without b without c", "is not a region expression"),
        ("without b", "is not a region expression"),
        ("a (b)", "is not a region expression"),
        ("a'b'", "is not a region expression"),
        ("1-3", "is not a region expression"),
        ("1 2", "is not a region expression"),
        ("1,,2", "is not a region expression"),
        ("-1", "is not a region expression"),
        ("1.5", "is not a region expression"),
        ("٣", "is not a region expression"),
        ("ring(1,2)", "is not a region expression"),
        ("ring(1,2;5)", "is not a region expression"),
        ("ring(1,2;5cm)", "is not a region expression"),
        ("ring(1,2;5mm;-200..300)", "is not a region expression"),
        ("ring(ring(1;5mm);5mm)", "is not a region expression"),
        ("ring(1;5mm", "is not a region expression"),
        ("0", "label 0, which is the background"),
        ("1 without 0", "label 0, which is the background"),
        ("1,2 without 2,1", "leaves out every label"),
        ("ring(1;0mm)", "expected above 0, at most 100 mm"),
        ("ring(1;101mm)", "expected above 0, at most 100 mm"),
        ("ring(1;5mm;300..-200HU)", "higher HU first"),
    ],
)
def test_what_is_no_region_is_refused_in_one_line_with_an_example(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_roi(text)
    assert str(caught.value).startswith(repr(text))
    assert str(caught.value).endswith(EXAMPLES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", EXAMPLES.split(" or "))
def test_the_examples_in_messages_are_right(text: str) -> None:
    assert str(parse_roi(text)) == text


numbers = st.lists(st.integers(1, 999_999_999), min_size=1, max_size=4, unique=True)
label_tuples = numbers.map(lambda found: tuple(sorted(found)))
some_labels = st.one_of(
    st.builds(Labels, st.none() | label_tuples),
    st.builds(Labels, st.none(), label_tuples),
    st.builds(
        lambda n: Labels((*n, 10**9 - 1), n), label_tuples.filter(lambda n: n[-1] < 10**9 - 1)
    ),
)
written = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=9)
names = written.map(name_key).filter(lambda n: n and n.isprintable() and "'" not in n)
some_labels |= st.builds(Labels, st.sets(names, min_size=1).map(lambda found: tuple(sorted(found))))
decimals = st.integers(1, 10_000).map(lambda n: n / 100)
hu_ranges = st.lists(st.integers(-20_000, 60_000), min_size=2, max_size=2).map(
    lambda found: (min(found) / 10, max(found) / 10)
)
rois = some_labels | st.builds(Ring, some_labels, decimals, st.none() | hu_ranges)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(rois)
def test_what_is_written_is_read_back(roi: Roi) -> None:
    assert parse_roi(str(roi)) == roi
    if not _names_of(roi):
        assert parse_roi(str(roi).upper().replace(",", " + ")) == roi


def _names_of(roi: Roi) -> tuple[str, ...]:
    return (roi.around if isinstance(roi, Ring) else roi).names


def test_labels_are_taken_from_those_that_are_there() -> None:
    assert Labels((1, 2)).among((1, 3)) == (1,)
    assert Labels(None, (3,)).among((1, 3, 7)) == (1, 7)
    assert Labels((2,)).among((1, 3)) == ()


@pytest.mark.parametrize("text", ["x" * 100_000, "1," * 50_000 + "2", "ring(" + " " * 99_999 + ";"])
def test_a_long_text_is_refused_in_a_short_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"has 100\d{3} characters \(at most 1000\)") as refused:
        parse_roi(text)
    assert len(str(refused.value)) < 300


def test_all_labels_of_a_whole_body_are_an_expression() -> None:
    assert parse_roi(",".join(map(str, range(1, 201)))) == Labels(tuple(range(1, 201)))
