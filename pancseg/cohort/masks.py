"""Find the mask of each case in a folder of masks."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pancseg.cohort.case import DEFAULT_ROI, Case, name_key, stem_of
from pancseg.scans.reading import READERS, suffix_of

log = logging.getLogger(__name__)


def _with_masks(
    cases: list[Case], masks: Path, aliases: list[Case]
) -> tuple[list[Case], list[str]]:
    """Return the cases with the masks named after them, and the problems.

    A case that has a mask keeps it. Names of masks that belong to no case are only logged: they may
    identify anybody.

    Args:
        cases: the cohort.
        masks: folder of masks, or one mask file for a single scan.
        aliases: the same cases under the names that masks may have instead.
    """
    if masks.is_file():
        if (count := len({name_key(case.scan_name) for case in cases})) != 1:
            return cases, [f"there is one mask file for {count} scans; give a folder of masks"]
        named = [c.roi == DEFAULT_ROI or c.mask_label or len(cases) == 1 for c in cases]
        return [
            replace(case, mask=masks) if fits and not case.mask else case
            for case, fits in zip(cases, named, strict=True)
        ], []
    if not masks.is_dir():
        return cases, ["no such mask file or folder; check the path"]
    by_key: dict[str, Path] = {}
    problems = []
    for path in sorted(masks.iterdir()):
        if suffix_of(path) and not path.name.startswith("."):
            key = name_key(stem_of(path))
            if key in by_key:
                log.debug("two masks of one name: %s", path)
                problems.append("the folder has two masks of one name; `verbose` names them")
            by_key[key] = path
    keys = [
        next((k for k in (_mask_key(case, by_key), _mask_key(alias, by_key)) if k in by_key), "")
        for case, alias in zip(cases, aliases, strict=True)
    ]
    unused = sorted(stem_of(p) for k, p in by_key.items() if k not in keys)
    if unused:
        log.debug("masks that fit no case: %s", unused)
        problems.append(
            f"{len(unused)} of {len(by_key)} masks belong to no case (`verbose` names them); "
            f"name each mask after its case, such as '{aliases[0].name}.nii.gz'"
        )
    if not by_key:
        problems.append(f"the folder of masks holds no mask file ({', '.join(READERS)})")
    return [
        case if case.mask else replace(case, mask=by_key.get(key))
        for case, key in zip(cases, keys, strict=True)
    ], problems


def _mask_key(case: Case, masks: dict[str, Path]) -> str:
    """Return the key of a case's mask.

    It is the case's key, or that of the whole scan's mask where the case names a label and has no
    mask file for itself.
    """
    whole = case.mask_label and case.key not in masks
    return name_key(case.scan_name) if whole else case.key
