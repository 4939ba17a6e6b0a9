"""Find the mask of each case in a folder of masks."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pancseg.cohort.case import DEFAULT_ROI, Case, name_key
from pancseg.cohort.choosing import listed
from pancseg.cohort.mask_entries import is_mask_entry
from pancseg.cohort.mask_names import masks_by_key
from pancseg.scans.reading import READERS
from pancseg.system.text.excerpt import excerpt

log = logging.getLogger(__name__)


def _with_masks(
    cases: list[Case], masks: Path, aliases: list[Case], *, show_names: bool = True
) -> tuple[list[Case], list[str]]:
    """Return the cases with the masks named after them, and the problems.

    A case that has a mask keeps it.

    Args:
        cases: the cohort.
        masks: folder of masks, or one mask file for a single scan.
        aliases: the same cases under the names that masks may have instead.
        show_names: whether problems name masks; under pseudonyms they are only logged.
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
    files = [p for p in masks.iterdir() if not p.name.startswith(".") and is_mask_entry(p)]
    both = [*cases, *aliases]
    wanted = {case.key for case in both} | {name_key(case.scan_name) for case in both}
    by_key, twice, unused = masks_by_key(files, wanted)
    keys = [
        next((k for k in (_mask_key(case, by_key), _mask_key(alias, by_key)) if k in by_key), "")
        for case, alias in zip(cases, aliases, strict=True)
    ]
    unused += [path for key, path in by_key.items() if key not in keys]
    problems = [
        f"{len(fitting)} masks fit one case{_names(fitting, show_names)}; keep one"
        for fitting in twice
    ]
    if unused:
        log.debug("masks that fit no case: %s", sorted(p.name for p in unused))
        problems.append(
            f"{len(unused)} of {len(files)} masks belong to no case{_names(unused, show_names)}; "
            f"name each mask after its case, such as '{aliases[0].name}.nii.gz'"
        )
    if not files:
        problems.append(f"the folder of masks holds no mask file ({', '.join(READERS)}, DICOM SEG)")
    return [
        case if case.mask else replace(case, mask=by_key.get(key))
        for case, key in zip(cases, keys, strict=True)
    ], problems


def _names(masks: list[Path], show: bool) -> str:
    """Return the names of masks in brackets, as far as they may be shown."""
    names = [excerpt(path.name, 40) for path in sorted(masks)]
    return f" ({listed(names)})" if show else " (`verbose` names them)"


def _mask_key(case: Case, masks: dict[str, Path]) -> str:
    """Return the key of a case's mask.

    It is the case's key, or that of the whole scan's mask where the case names a label and has no
    mask file for itself.
    """
    whole = case.mask_label and case.key not in masks
    return name_key(case.scan_name) if whole else case.key
