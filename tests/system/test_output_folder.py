"""Where pancseg writes: in folders of its own, and never through a link out of them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import call

import pancseg
from pancseg import RunOptions, RunRefused, extract_cohort, write_report
from pancseg.pipeline.demo import make_cohort
from pancseg.system.output_folder import FILES, FOLDERS, FolderRefused, check_output_folder, claim
from pancseg.training.predictions import check_free

HERE = RunOptions(workers=0)


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder like somebody's home: documents, folders, hidden files."""
    folder = tmp_path / "home"
    (folder / "photos").mkdir(parents=True)
    for name in ("thesis.tex", "photos/1.jpg", ".bashrc", ".partial-notes.txt", "report.md"):
        (folder / name).write_text("mine")
    return folder


def test_a_folder_of_foreign_files_is_refused_with_their_number(foreign: Path) -> None:
    before = content_of(foreign)
    for take in (check_output_folder, claim, check_free, lambda out: make_cohort(out, 1)):
        with pytest.raises(
            ValueError, match=r"not pancseg's: it holds 4 other files and folders; choose"
        ):
            take(foreign)
    assert content_of(foreign) == before
    with pytest.raises(ValueError, match="not pancseg's"):
        check_output_folder(Path("/"))


def test_a_refusal_has_fact_and_remedy_apart_also_from_another_process(foreign: Path) -> None:
    with pytest.raises(FolderRefused) as refused:
        check_output_folder(foreign)
    for one in (refused.value, pickle.loads(pickle.dumps(refused.value))):
        assert one.fact == "the output folder is not pancseg's: it holds 4 other files and folders"
        assert one.remedy == "choose a new or empty folder as `out`"
        assert str(one) == f"{one.fact}; {one.remedy}"


COMMANDS: dict[str, Callable[[Path], tuple[str | Path, ...]]] = {
    "check": lambda given: ("check", given / "cohort.csv"),
    "segment": lambda given: ("segment", given / "cohort.csv"),
    "extract": lambda given: ("extract", given / "cohort.csv", "--masks", given / "masks"),
    "run": lambda given: ("run", given / "cohort.csv", "--weights", "monet_phantom"),
    "demo": lambda _: ("demo", "--patients", "1"),
    "evaluate": lambda given: (
        "evaluate", "--prediction", f"A={given / 'masks'}", "--reference", given / "references",
    ),
    "model": lambda given: (
        "model", "survival", given / "features.csv", "--outcome", given / "clinical.csv",
        "--time", "os_months", "--event", "os_event",
    ),
    "train": lambda given: ("train", "monet_phantom", "--data", given / "cohort.csv"),
    "masks": lambda given: (
        "weights", "masks", "monet_phantom", "--slices", "phantoms", "--data", given,
    ),
    "benchmark": lambda _: ("benchmark", "inference", "--repeats", "1"),
}  # fmt: skip


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_writes_a_folder_refuses_a_foreign_one(
    name: str, foreign: Path, example_folder: Path
) -> None:
    before = content_of(foreign)
    code, out, err = call(*COMMANDS[name](example_folder), "--out", foreign)
    assert (code, err.count("\n")) == (2, 1), err
    assert "4 other files and folders; choose a new or empty folder as --out" in err
    assert out == ""
    assert content_of(foreign) == before


def test_notes_may_lie_beside_an_earlier_runs_files(foreign: Path, tmp_path: Path) -> None:
    (foreign / ".pancseg").mkdir()
    check_output_folder(foreign)
    new = tmp_path / "new"
    for folder in ("ct", "drawn"):
        (new / folder).mkdir(parents=True)
    for name in ("slurm-17.out", ".DS_Store", "features.csv", *(f"{n}.txt" for n in range(7))):
        (new / name).write_text("")
    check_output_folder(new)
    for more in ("more.docx", "thesis.tex"):
        (new / more).write_text("")
        with pytest.raises(ValueError, match="11 other files and folders; choose a new or empty"):
            check_output_folder(new)
        (new / more).unlink()


INNER = {".pancseg/journal.jsonl", "report/pictures", "masks/.original"}


@pytest.mark.parametrize("name", sorted(FILES | FOLDERS | INNER))
@pytest.mark.parametrize("broken", [True, False])
def test_a_link_in_place_of_an_own_entry_is_refused(
    name: str, broken: bool, tmp_path: Path
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    (out / name).parent.mkdir(parents=True)
    if not broken:
        other.mkdir()
    (out / name).symlink_to(other)
    with pytest.raises(ValueError, match=rf"^{name} in the output folder is a link, and"):
        check_output_folder(out)
    assert other.exists() is not broken


@pytest.mark.parametrize("name", [".pancseg/journal.jsonl", "run.jsonl", "features.csv", "masks"])
def test_a_pipe_or_a_folder_in_place_of_an_own_entry_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} in the output folder is not a fi|is not a fo"):
        check_output_folder(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    if name != "masks":
        with pytest.raises(ValueError, match=rf"{name} in the output folder is a folder; remove"):
            check_output_folder(tmp_path)


def test_the_output_folder_itself_may_be_a_link_and_so_may_other_entries(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / ".pancseg").mkdir()
    (tmp_path / "disk" / "scans_of_mine").symlink_to(tmp_path)
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    claim(tmp_path / "out")


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("below", [".", "new"])
def test_an_output_folder_behind_a_link_that_leads_nowhere_is_refused(
    below: str, example_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    code, _, err = call(*COMMANDS["check"](example_folder), "--out", tmp_path / "out" / below)
    assert (code, err.count("\n")) == (2, 1), err
    assert (
        "a link that leads nowhere; make the folder that it leads to, or choose another --out"
        in err
    )
    (tmp_path / "gone").mkdir()
    claim(tmp_path / "out" / below)


@pytest.mark.parametrize("name", ["run.jsonl", ".pancseg", "masks", ".pancseg/journal.jsonl"])
def test_a_run_changes_nothing_behind_a_link(name: str, cohort: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    (out / name).parent.mkdir(parents=True)
    if "jsonl" in name:
        other.write_text("mine")
    else:
        other.mkdir()
        (other / ".partial-1-mine").write_text("mine")
    (out / name).symlink_to(other)
    before = content_of(tmp_path)
    with pytest.raises(RunRefused, match=f"{name} in the output folder is a link"):
        extract_cohort(cohort, out, settings=cohort.parent / "quick.yaml", options=HERE)
    assert content_of(tmp_path) == before


def test_a_page_is_not_written_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "out" / "report").symlink_to(tmp_path / "other")
    with pytest.raises(ValueError, match="report in the output folder is a link"):
        write_report(tmp_path / "out")


def test_files_that_share_their_content_with_others_are_not_emptied(
    cohort: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_text("mine")
    os.link(tmp_path / "mine", tmp_path / "out" / "run.jsonl")
    extract_cohort(cohort, tmp_path / "out", settings=cohort.parent / "quick.yaml", options=HERE)
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "out" / "run.jsonl").read_text().startswith('{"event": "start"')


def test_everything_that_commands_write_is_known(example_folder: Path, tmp_path: Path) -> None:
    """What is missing in the lists would count as foreign, or could be a link."""
    settings = pancseg.load_feature_settings("pancreas_ct")
    pancseg.run_cohort(
        example_folder / "cohort.csv", tmp_path / "run", weights="monet_phantom",
        settings=settings, options=HERE,
    )  # fmt: skip
    masks = example_folder / "masks"
    pancseg.evaluate_masks({"A": masks}, example_folder / "references", tmp_path / "evaluation")
    make_cohort(tmp_path / "demo", 1)
    for folder in (tmp_path / "run", tmp_path / "evaluation", tmp_path / "demo"):
        assert {path.name for path in folder.iterdir()} <= FILES | FOLDERS
    model = {path.name for path in (example_folder / "model").iterdir()}
    assert model <= FILES | FOLDERS


def test_only_old_unfinished_files_of_ours_are_removed(tmp_path: Path) -> None:
    kept = [".partial-7-report.md", ".partial-7-other.txt", "report.md", ".partial-x"]
    for name in (*kept, ".partial-9-report.md", ".partial-9-CLEAR.md"):
        (tmp_path / name).write_text("x")
        if name != kept[0]:
            os.utime(tmp_path / name, (0, 0))
    claim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
