"""Column names that every statistics program takes, one for each feature."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pancseg.tables.names import column_names, safe_names


@given(st.lists(st.text(min_size=1), unique=True))
def test_names_are_safe_and_one_to_one(names: list[str]) -> None:
    try:
        safe = safe_names(names)
    except ValueError:
        plain = {re.sub(r"[^A-Za-z0-9_]", "_", n) for n in names}
        assert len({n.removeprefix("x") for n in plain}) < len(names)
        return
    assert len(set(safe.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) for value in safe.values())


def test_two_features_never_share_a_column() -> None:
    with pytest.raises(ValueError, match="would both be named"):
        safe_names(["a-b", "a_b"])


def test_original_names_are_left_alone() -> None:
    names = ["wavelet-HHL_glcm_Idm", "1-2"]
    assert column_names(names, "pyradiomics") == dict(zip(names, names, strict=True))
    assert list(column_names(names).values()) == ["wavelet_HHL_glcm_Idm", "x1_2"]
    with pytest.raises(ValueError, match="unknown `names` 'r'; known: safe, pyradiomics"):
        column_names(names, "r")
