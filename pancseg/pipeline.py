"""Knows the order: scan → mask → verdict → row → table. Stages meet on disk, in the output folder.

``OUT/masks/<id>.nii.gz``, ``OUT/features.csv`` with its codebook and description (or
``OUT/masks.csv`` after segmenting alone), ``OUT/provenance.json`` and ``OUT/run.jsonl``;
``OUT/.pancseg`` holds what the next run need not do again.
"""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pancseg
from pancseg import export, fingerprint
from pancseg.acquisition import write_acquisition
from pancseg.case import Case, is_name, name_key
from pancseg.cohort import STATE_FOLDER, Outcome, Value
from pancseg.duplicates import with_duplicates
from pancseg.export import Field, Row, TableFormat
from pancseg.features.expected import feature_names
from pancseg.pseudonyms import mark_output
from pancseg.roi import Labels, Roi
from pancseg.running.journal import Journal
from pancseg.running.lock import locked
from pancseg.running.log import RunLog
from pancseg.running.options import DEFAULT, Options
from pancseg.running.run import CohortRun, Report, place_for
from pancseg.settings import FeatureSettings
from pancseg.work import Work

if TYPE_CHECKING:
    import pandas as pd

Started = Callable[[Mapping[str, Any]], None]
_PLAIN = TableFormat()
_PACKAGES = (
    "SimpleITK", "numpy", "pandas", "pyradiomics-bhklab", "PyWavelets", "scipy", "torch",
)  # fmt: skip


def _silent(said: object) -> None:
    """Say nothing."""


def segment_cohort(
    cases: Sequence[Case],
    out: Path,
    work: Work,
    report: Report = _silent,
    options: Options = DEFAULT,
    *,
    started: Started = _silent,
) -> list[Outcome]:
    """Segment every case; write masks, ``masks.csv`` and ``provenance.json``.

    Args:
        cases: the cohort.
        out: output folder, made if need be.
        work: with command ``segment`` and the weights.
        report: called with each outcome as soon as it is there.
        options: where and how.
        started: called with what the network is run by, before the first case.

    Returns:
        One outcome per case, in the order of the cases. Their values stay on the disk, in the
        output folder, until they are asked for.

    Raises:
        Refusal: the work cannot be done as it is asked for, or another run writes into this folder.
        OSError: the output cannot be written.
        Stopped: a strict run met a row that is not usable.
    """
    output = _Output(out / "masks.csv", work, cases, pseudonyms=options.pseudonyms)
    return _run(output, options, report, started)


def run_cohort(  # noqa: PLR0913
    cases: Sequence[Case],
    out: Path,
    work: Work,
    report: Report = _silent,
    options: Options = DEFAULT,
    style: TableFormat = _PLAIN,
    *,
    started: Started = _silent,
) -> list[Outcome]:
    """Make the feature table: from masks where a case has one, else by segmenting.

    Without weights a case without a mask fails with ``no_mask``. A scan is read, and segmented,
    once for all its regions. ``style`` is how the table is written; other arguments, result and
    errors as for :func:`segment_cohort`.
    """
    path = out / f"features.{style.kind}"
    output = _Output(path, work, cases, style, options.pseudonyms)
    return _run(output, options, report, started)


def table(outcomes: Sequence[Outcome], settings: FeatureSettings | None = None) -> pd.DataFrame:
    """Return one row per outcome; columns: ids, ``qc_*``, hashes, features under safe names.

    An unusable case has its reason and no values. With ``settings`` the features' columns are
    there, in the settings' order, whatever became of the cases.
    """
    import pandas as pd

    fields, rows = fields_and_rows(outcomes, settings, "safe")
    frame = pd.DataFrame(list(rows), columns=[field.original_name for field in fields])
    return frame.set_axis([field.name for field in fields], axis=1)


def fields_and_rows(
    outcomes: Sequence[Outcome], settings: FeatureSettings | None, naming: str
) -> tuple[list[Field], Iterable[Row]]:
    """Return the columns of a table and its rows, one per outcome, made as they are asked for."""
    rows = _Rows(outcomes, settings)
    measured = any(outcome.usable for outcome in outcomes)
    expected = [] if measured or settings is None else feature_names(settings)
    return export.fields_of(rows, expected, settings, naming), rows


class _Rows:
    """The rows of a table: each is made, and read from the disk, whenever it is its turn."""

    def __init__(self, outcomes: Sequence[Outcome], settings: FeatureSettings | None) -> None:
        self._outcomes = outcomes
        self._hashed: dict[str, Value] = (
            {"settings_sha256": fingerprint.of_settings(settings)} if settings else {}
        )

    def __iter__(self) -> Iterator[Row]:
        for outcome in self._outcomes:
            values = dict(outcome.values.items())  # ** would read them once per column
            yield {**_ids(outcome), **self._hashed, **values}


def _ids(outcome: Outcome) -> dict[str, Value]:
    case = outcome.case
    return {
        "patient_id": case.patient_id,
        "scan_id": case.scan_id,
        "roi": case.roi,
        "qc_status": outcome.status,
        "qc_reasons": outcome.reason,
        "qc_mask_label": _asked(case.mask_label),
    }


def _asked(label: Roi | None) -> str:
    """Return labels as a measured region's are written: 1+2, which no program takes for 1.2."""
    return str(label).replace(",", "+") if isinstance(label, Labels) else str(label or "")


@dataclass(frozen=True)
class _Output:
    """The table of a run, and what lies beside it.

    Attributes:
        path: of the table.
        work: what makes it.
        cases: its rows.
        style: how it is written.
        pseudonyms: whether the cases' ids are pseudonyms.
    """

    path: Path
    work: Work
    cases: Sequence[Case]
    style: TableFormat = _PLAIN
    pseudonyms: bool = False

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.path.parent

    @property
    def masks(self) -> Path | None:
        """Where the network's masks go; None where it makes none."""
        return self.folder / "masks" if self.work.weights else None

    def start(self, about: Mapping[str, Any]) -> None:
        """Note beside the masks what makes them, and whether ids are pseudonyms."""
        if self.pseudonyms:
            mark_output(self.folder)
        _remove_leftovers(self.folder, ".*.partial")
        if self.masks is None:
            return
        self.masks.mkdir(exist_ok=True)
        _remove_leftovers(self.masks, ".new-*", ".partial-*", ".*.partial")
        others = ("features", "settings_sha256", "regions", "quality")
        record = {k: v for k, v in self.provenance(about).items() if k not in others}
        export.write_whole({self.masks / "provenance.json": _json(record)})

    def write(self, outcomes: Sequence[Outcome], about: Mapping[str, Any]) -> None:
        """Write all files; time stamps are in the provenance only."""
        settings = self.work.settings
        fields, rows = fields_and_rows(outcomes, settings, self.style.names)
        record = self.provenance(about)
        provenance = _json(record | {"created": datetime.now(UTC).isoformat(timespec="seconds")})
        if settings:
            beside = {"provenance.json": provenance}
            export.write_table(self.path, fields, rows, self.style, beside)
            for kind in export.KINDS:  # codebook and provenance are of this table alone now
                if kind != self.style.kind:
                    self.path.with_suffix(f".{kind}").unlink(missing_ok=True)
        else:
            files = {self.path: export.table_bytes(fields, rows, self.style)}
            if not any((self.folder / f"features.{kind}").exists() for kind in export.KINDS):
                files = {self.folder / "provenance.json": provenance, **files}  # else it is theirs
            export.write_whole(files)

    def write_acquisition(self, tags: Mapping[str, Mapping[str, Value]]) -> None:
        """Write ``acquisition.csv`` if any scan is DICOM; one left by an earlier run goes.

        It has a row for every scan, in the table's order, so that the two can be joined.
        """
        path = self.folder / "acquisition.csv"
        rows: dict[str, dict[str, Value]] = {}
        for case in self.cases:
            ids: dict[str, Value] = {"patient_id": case.patient_id, "scan_id": case.scan_id}
            rows.setdefault(name_key(case.scan_name), ids).update(tags.get(case.key, {}))
        if tags:
            write_acquisition(path, rows.values(), self.style)
        else:
            path.unlink(missing_ok=True)

    def provenance(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return what makes the table, without any path or name of a file."""
        settings = self.work.settings
        record: dict[str, Any] = {
            "command": " ".join([*_command(self.work, about), *self.style.words]),
            "versions": {
                "pancseg": pancseg.__version__,
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
            },
            "ids": "pseudonyms" if self.pseudonyms else "as given",
            **about,
        }
        if about and about["inference"]["engine"] == "openvino":
            record["versions"]["openvino"] = version("openvino")
        if settings:
            record["features"] = settings.model_dump(mode="json")
            record["settings_sha256"] = fingerprint.of_settings(settings)
            record["regions"] = _regions(self.cases)
        else:
            record["quality"] = self.work.limits.model_dump(mode="json")
        return record


def _run(output: _Output, options: Options, report: Report, started: Started) -> list[Outcome]:
    """Run all cases, then write their table."""
    for case in output.cases:
        if output.masks and not is_name(case.name):
            raise ValueError(f"{case.name!r} cannot be the name of a file in a folder")
    cases, state = output.cases, output.folder / STATE_FOLDER
    with (
        locked(state),  # before anything is started: neither workers nor jobs of a cluster
        closing(place_for(output.work, cases, options)) as place,
        closing(Journal(state / "journal.jsonl")) as journal,
        closing(RunLog(output.folder / "run.jsonl")) as log,
    ):
        output.start(place.about)
        log.start({"command": output.provenance(place.about)["command"], "rows": len(cases)})
        started(place.about)
        run = CohortRun(cases, place, options, output.masks, journal, log, report)
        outcomes = with_duplicates(run.outcomes(), "image_sha256", "warn")
        output.write(outcomes, place.about)
        output.write_acquisition(run.acquisition)
        log.end(Counter(outcome.status for outcome in outcomes))
    return outcomes


def _remove_leftovers(folder: Path, *patterns: str) -> None:
    """Remove what a run that was killed has not finished writing."""
    for pattern in patterns:
        for left in folder.glob(pattern):
            left.unlink()


def _regions(cases: Sequence[Case]) -> dict[str, list[str]]:
    """Return what each region was asked for as; an empty expression is what the mask holds."""
    asked: dict[str, set[str]] = {}
    for case in cases:
        asked.setdefault(case.roi, set()).add(str(case.mask_label or ""))
    return {roi: sorted(expressions) for roi, expressions in asked.items()}


def _command(work: Work, about: Mapping[str, Any]) -> list[str]:
    """Return the command line with placeholders for paths."""
    words = ["pancseg", work.command, "COHORT", "--out", "OUT"]
    if about:
        used = about["inference"]
        words += ["--weights", about["weights"]["name"]]
        words += ["--engine", used["engine"], "--precision", used["precision"]]
    if work.settings:
        words += ["--config", work.settings.name]
    words += ["--keep-failed"] * work.keep_failed
    return words + (["--uncertainty", str(work.uncertainty)] if work.uncertainty else [])


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()
