"""Join the checkpoints of a first and of a second look into one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint, looks_problem
from pancseg.segmentation.look_windows import LookWindows
from pancseg.system.yaml_file import settings_of

_TEXTS = ("data", "licence", "attribution", "intended_use")


def join_looks(
    first: str | Path,
    second: str | Path,
    *,
    window: tuple[int, int] | None = None,
    allow_code: bool = False,
) -> Checkpoint:
    """Return one checkpoint of two looks.

    Args:
        first: weights that see whole slices: a shipped name or a file.
        second: weights that were trained on windows around the pancreas.
        window: rows and columns of these windows; only for weights that do not say it.
        allow_code: accept networks outside pancseg, whose code then runs.

    Raises:
        FileNotFoundError: no such weights.
        ValueError: no checkpoint, or the two do not go together: another window in HU, unknown or
            contradictory windows, or the first is itself a second look's.
    """
    whole = load_checkpoint(first, allow_code=allow_code)
    if whole.second is not None:  # what it says of its data holds for both of its networks
        raise ValueError("the first weights already hold two looks; give those of one network")
    fine = load_checkpoint(second, allow_code=allow_code)
    if fine.second is not None:
        raise ValueError("the second weights already hold two looks; give those of one network")
    if fine.windows is None and whole.windows is None:  # else they are probably swapped
        if window is None:
            raise ValueError(
                "the second weights do not say on which windows they were trained; if that was on "
                "windows around the pancreas, give their rows and columns by `window` (crop of the "
                "recipe)"
            )
        size = {"size": window}
        fine = replace(fine, windows=settings_of(LookWindows, size, "the second look's window"))
    elif window is not None and fine.windows and tuple(window) != fine.windows.size:
        given = "×".join(map(str, window))
        raise ValueError(
            f"`window` is {given}, but the second weights were trained on windows of "
            f"{fine.windows.in_words} pixels; omit it"
        )
    if problem := looks_problem(whole, fine):
        raise ValueError(f"the two networks do not go together: {problem}")
    return replace(
        whole,
        provenance=_both(whole.provenance, fine.provenance),
        second=replace(fine, places=None),  # a window does not show the body
        joined=(whole.sha256_without_ranges, fine.sha256_without_ranges),
        name="",
        sha256="",
        sha256_without_ranges="",
    )


def _both(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    """Return what both networks are made from; where they differ, the second look's follows."""
    names = dict.fromkeys((*_TEXTS, *first, *second))
    found = {}
    for name in names:
        a, b = first.get(name, ""), second.get(name, "")
        found[name] = a if a == b or not b else f"{a} Second look: {b}".strip()
    return found
