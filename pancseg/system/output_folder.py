"""Refuse an output folder that is not pancseg's, or in which a link leads out of it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pancseg.system.whole_files import check_writable, final_name, is_leftover

STATE = ".pancseg"
EXPORTS = "export"
"""Folder of what is written for other programs."""
FOLDERS = frozenset(
    {
        STATE,
        EXPORTS,
        "masks",
        "report",
        "scans",
        "truth",
        "cache",
        "last_epochs",
        "predictions",
        "references",
    }
)
_MODEL_PICTURES = (
    *("features", "roc", "time_dependent_roc", "kaplan_meier", "calibration", "decision_curve"),
    *("flow", "nomogram", "nomogram_clinical_and_radiomics", "prediction_stability", "sites"),
)
FILES = frozenset(
    {
        # a cohort's tables and log, also of check and demo
        *("features.csv", "features.parquet", "masks.csv", "check.csv", "codebook.csv"),
        *("features_wide.csv", "features_wide.parquet", "codebook_wide.csv"),
        *("value_labels.tsv", "review.csv"),
        *("datapackage.json", "provenance.json", "acquisition.csv", "run.jsonl"),
        *("README.txt", "manifest.csv"),
        # a model's
        *("report.md", "report.html", "CLEAR.md", "settings.yaml", "unmatched.csv", "folds.csv"),
        *("features_used.csv", "predictions.csv", "model.skops", "model.json"),
        "optimism.csv",
        *("missing_values.csv", "outliers.csv", "performance.csv", "coefficients.csv"),
        *("baseline_survival.csv", "report.docx", "MODEL.md", "TRIPOD.md", "METRICS.md"),
        "model.safetensors",
        *(f"{name}{suffix}" for name in _MODEL_PICTURES for suffix in (".png", ".svg", ".pdf")),
        # an evaluation's
        *("cases.csv", "summary.csv", "comparisons.csv", "table2.csv", "table2.md"),
        *("evaluation.md", "evaluation.html", "dice.png"),
        # a training's
        *("recipe.yaml", "data.json", "split.json", "environment.json", "metrics.csv"),
        *("curve.png", "last.ckpt", "last.safetensors", "last.json", "best.safetensors"),
        *("best.json", "mean.safetensors", "finished.json"),
        # a benchmark's
        *("inference.md", "inference.csv", "inference_rounds.csv", "inference_machine.json"),
        *("patient.md", "patient_machine.json", "features.md", "features_machine.json"),
    }
)
"""Everything that a command writes directly into its output folder, beside ``FOLDERS``."""
_INNER_FOLDERS = ("report/pictures", "masks/.original")
_LINK = "a link"
_MARKS = frozenset({STATE, "check.csv", "CLEAR.md", "evaluation.md", "recipe.yaml", "inference.md"})
"""Each of these says that the folder is pancseg's, whatever else somebody keeps in it."""
_NOTES = frozenset(
    {
        *(".txt", ".md", ".log", ".out", ".err", ".csv", ".yaml", ".yml", ".json", ".sh"),
        *(".docx", ".xlsx", ".pdf", ".py", ".r", ".ipynb"),
    }
)
_MOST_NOTES, _MOST_OTHERS = 8, 2
"""A new output folder may already hold so many: a log of the shell, the manifest, settings; and the
folders of scans and masks."""
_LEFT_BEHIND_S = 3600.0
"""Age of an unfinished file that nobody is writing any more; to write one takes seconds."""
_OF_SYSTEMS = frozenset(
    {
        *(".ds_store", ".directory", ".gitignore", ".gitkeep", ".keep", ".localized"),
        *(".stfolder", ".snapshot", "desktop.ini", "thumbs.db", "lost+found", "@eadir"),
        "__macosx",
    }
)


class FolderRefused(ValueError):
    """No run may write into this folder.

    Attributes:
        fact: what is wrong with it, as part of a sentence.
        remedy: what the user can do about it.

    Example:
        >>> refused = FolderRefused("the folder holds 9 other files", "choose another `out`")
        >>> str(refused)
        'the folder holds 9 other files; choose another `out`'
    """

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(f"{fact}; {remedy}")
        self.fact, self.remedy = fact, remedy

    def __reduce__(self) -> tuple[type[FolderRefused], tuple[str, str]]:
        """Pickle both arguments, not the message that they make."""
        return type(self), (self.fact, self.remedy)


def claim(folder: Path) -> None:
    """Check an output folder (:func:`check_output_folder`), make it and test that it is writable.

    Unfinished files that a killed process left in it long ago are removed.

    Raises:
        FolderRefused: as :func:`check_output_folder`.
        OSError: no permission, disk full, or the path is that of a file.
    """
    check_output_folder(folder)
    check_writable(folder)
    for entry in _entries(folder):
        if final_name(entry.name) in FILES:
            with suppress(OSError):  # another process may remove it too, or it is somebody else's
                _remove_if_old(entry)


def _remove_if_old(entry: os.DirEntry[str]) -> None:
    written = entry.stat(follow_symlinks=False)
    if stat.S_ISREG(written.st_mode) and time.time() - written.st_mtime > _LEFT_BEHIND_S:
        os.unlink(entry.path)


def check_output_folder(folder: Path) -> None:
    """Refuse a folder into which no run may write, before anything is written or deleted.

    The folder itself may be a link. It may hold notes beside an earlier run's files.

    Args:
        folder: the output folder; it may not exist yet.

    Raises:
        FolderRefused: the folder is a link that leads nowhere, or holds files but none of
            pancseg's; or one of pancseg's entries is a link or of another kind than pancseg writes.
            The message names no foreign file.
    """
    if any(part.is_symlink() and not part.exists() for part in (folder, *folder.parents)):
        raise FolderRefused(
            "the output folder is, or lies in, a link that leads nowhere",
            "make the folder that it leads to, or choose another `out`",
        )
    entries = list(_entries(folder))
    for where in (entries, _entries(folder / STATE)):
        for entry in where:
            _refuse_other_kind(entry)
    for name in _INNER_FOLDERS:
        if (folder / name).is_symlink():
            raise _refused(name, _LINK)
    if any(entry.name in _MARKS for entry in entries):
        return
    foreign = [entry for entry in entries if _is_foreign(entry.name)]
    notes = sum(map(_is_note, foreign))
    if notes > _MOST_NOTES or len(foreign) - notes > _MOST_OTHERS:
        raise FolderRefused(
            f"the output folder is not pancseg's: it holds {len(foreign)} other files and folders",
            "choose a new or empty folder as `out`",
        )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder; nothing where it cannot be listed, as writing will say why."""
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError:
        return


def _refuse_other_kind(entry: os.DirEntry[str]) -> None:
    in_state = os.path.basename(os.path.dirname(entry.path)) == STATE
    if not (in_state or entry.name in FILES or entry.name in FOLDERS):
        return
    mode = entry.stat(follow_symlinks=False).st_mode
    is_folder = entry.name in FOLDERS and not in_state
    if stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode):
        return
    kind = _LINK if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "not a file"
    if is_folder and kind == "not a file":
        kind = "not a folder"
    raise _refused(f"{STATE}/{entry.name}" if in_state else entry.name, kind)


def _refused(name: str, kind: str) -> FolderRefused:
    why = ", and pancseg would write to where it leads" if kind == _LINK else ""
    return FolderRefused(
        f"{name} in the output folder is {kind}{why}", "remove it, or choose another `out`"
    )


def _is_foreign(name: str) -> bool:
    ours = name in FILES or name in FOLDERS or is_leftover(name)
    return not ours and name.lower() not in _OF_SYSTEMS


def _is_note(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    return suffix in _NOTES and entry.is_file()
