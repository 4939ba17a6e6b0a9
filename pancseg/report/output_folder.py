"""Read an output folder: its table, what describes it, and what people decided about its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pancseg.review.decisions import REVIEW, Decision, read_decisions
from pancseg.system.json_file import parse_json, read_json
from pancseg.system.optional import missing
from pancseg.tables.columns import HASHES, IDS

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("features.csv", "features.parquet", "masks.csv")
"""Names of a run's table, the first that exists counts."""

_MAPPINGS = ("run", "versions", "weights", "features", "quality")
"""Keys of the provenance that are mappings."""
_TEXT = (*IDS, *HASHES)
_NO_TABLE = (
    f"the folder has no table ({', '.join(TABLES)}); give the `out` of a run that came to its end"
)


@dataclass(frozen=True)
class OutputFolder:
    """What lies in an output folder; everything but the table may be missing.

    Attributes:
        folder: the folder.
        table: one row per region, text or numbers; empty text for a missing text.
        codebook: one row per column of the table; empty without one.
        provenance: what the table was made with; empty without one.
        acquisition: one row per DICOM scan.
        reviews: decisions of people, in the order in which they were made.
        log: lines of the run's log.
        unreadable: names of files that exist but cannot be read.
        problems: one line about each of them.
    """

    folder: Path
    table: pd.DataFrame
    codebook: pd.DataFrame
    provenance: Mapping[str, Any] = field(default_factory=dict)
    acquisition: pd.DataFrame | None = None
    reviews: tuple[Decision, ...] = ()
    log: tuple[Mapping[str, Any], ...] = ()
    unreadable: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """Names of the columns of features."""
        if "family" not in self.codebook:
            return []
        others = ("id", "quality", "provenance", "other")
        known = self.codebook[~self.codebook["family"].isin(others)]["name"]
        return [name for name in known if name in self.table]

    @property
    def original_names(self) -> dict[str, str]:
        """Column → pyradiomics's name, for the columns in the codebook."""
        if "original_name" not in self.codebook:
            return dict(zip(self.features, self.features, strict=True))
        columns = self.codebook["name"], self.codebook["original_name"]
        return dict(zip(*columns, strict=True))


def read_output(folder: Path) -> OutputFolder:
    """Read an output folder.

    Raises:
        ValueError: there is no table, or it cannot be read as one; one line.
        OSError: a file cannot be read.
    """
    import pandas as pd

    path = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if path is None:
        raise ValueError(_NO_TABLE)
    beside = _FilesBeside(folder)
    table, codebook = _table(path), beside.table("codebook.csv")
    return OutputFolder(
        folder,
        table,
        pd.DataFrame() if codebook is None or "name" not in codebook else codebook,
        beside.provenance(),
        beside.table("acquisition.csv"),
        tuple(beside.decisions()),
        tuple(beside.log()),
        tuple(beside.unreadable),
        tuple(beside.problems),
    )


class _FilesBeside:
    """Reads what describes a table; a file that cannot be read is noted, and the rest is shown.

    Attributes:
        unreadable: names of files that exist but cannot be read.
        problems: one line about each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.unreadable: list[str] = []
        self.problems: list[str] = []

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table, all of it as text; None without one that can be read."""
        import pandas as pd

        path = self._folder / name
        if not path.is_file():
            return None
        try:
            sep = _separator(path)
            return pd.read_csv(
                path, sep=sep, encoding="utf-8-sig", dtype=str, keep_default_na=False
            )
        except (OSError, ValueError, pd.errors.ParserError):
            self._note(name)
            return None

    def _note(self, name: str, why: str = "") -> None:
        self.unreadable.append(name)
        self.problems.append(f"{why or f'{name} cannot be read'}; what stands there is not shown")

    def decisions(self) -> list[Decision]:
        """Return what people decided; empty without decisions that can be read."""
        try:
            return read_decisions(self._folder)
        except ValueError as error:
            self._note(REVIEW, str(error))
            return []

    def provenance(self) -> dict[str, Any]:
        """Return the record of what made the table; empty without one."""
        name = "provenance.json"
        if not (self._folder / name).is_file():
            return {}
        try:
            found = read_json(self._folder / name)
            if all(isinstance(found.get(key, {}), dict) for key in _MAPPINGS):
                return dict(found)
        except (OSError, ValueError, AttributeError):
            pass
        self._note(name)
        return {}

    def log(self) -> Iterator[Mapping[str, Any]]:
        """Yield the records of the last run's log; its last line may be incomplete."""
        path = self._folder / "run.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        except (OSError, ValueError):
            self._note(path.name)
            return
        for line in lines:
            try:
                record = parse_json(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix == ".parquet" and (package := missing("pyarrow", "'pancseg[parquet]'")):
        raise ValueError(f"{path.name} needs {package}")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path.name} is not a table of pancseg's; run again") from error
    if lacking := [name for name in ("patient_id", "qc_status", "qc_reasons") if name not in table]:
        raise ValueError(f"{path.name} has no column {lacking[0]}; it is not a table of pancseg's")
    texts = {column.name for column in _TEXT}
    for name in table.columns:
        if table[name].dtype == object or name in texts:
            table[name] = table[name].fillna("").astype(str)
    return table


def _separator(path: Path) -> str:
    """Return the character between the cells of a table: a semicolon beside decimal commas."""
    with path.open(encoding="utf-8-sig") as lines:
        header = lines.readline()
    return ";" if header.count(";") > header.count(",") else ","


def _ends_in_line(path: Path) -> bool:
    """Return whether a text file is whole, as far as its end tells."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 1))
        return file.read(1) in (b"\n", b"\r")


def _csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not _ends_in_line(path):
        raise ValueError("the file ends within a line")
    sep = _separator(path)
    text = {column.name: str for column in _TEXT} | {"qc_grid_mm": str, "qc_mask_label": str}
    return pd.read_csv(
        path,
        sep=sep,
        decimal="," if sep == ";" else ".",
        encoding="utf-8-sig",
        dtype=text,
        keep_default_na=False,
        na_values=[""],
        low_memory=False,
    )
