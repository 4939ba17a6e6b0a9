"""Column names that every statistics program takes, one for each feature."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pancseg.features.names import safe_names


@given(st.lists(st.text(min_size=1), unique=True))
def test_names_are_safe_and_one_to_one(names: list[str]) -> None:
    try:
        safe = safe_names(names)
    except ValueError:
        assert len({re.sub(r"[^A-Za-z0-9_]", "_", n) for n in names}) < len(names)
        return
    assert len(set(safe.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", value) for value in safe.values())


def test_two_features_never_share_a_column() -> None:
    with pytest.raises(ValueError, match="would both be named"):
        safe_names(["a-b", "a_b"])
