"""Which output folders can be viewed, and what is said where something is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from typer.testing import CliRunner
from viewed_output import EMPTY, FOUND, run, viewing

from pancseg import read_cohort, read_scan
from pancseg.cli import app
from pancseg.cohort.pseudonyms import pseudonymised, read_key
from pancseg.viewer import viewing as opening
from pancseg.viewer import volumes


def refused(*words: str | Path) -> str:
    result = CliRunner().invoke(app, ["view", *map(str, words), "--no-browser"])
    assert result.exit_code == 2, result.output
    (line,) = result.output.strip().splitlines()
    return line


def test_the_command_serves_until_it_is_interrupted_and_says_what_was_saved(folder: Path) -> None:
    command = [sys.executable, "-m", "pancseg", "view", str(folder / "out"), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert re.fullmatch(r"page: http://127\.0\.0\.1:[0-9]+/[\w-]{32}/\n", first)
        assert process.stdout.readline() == "Ctrl-C stops the viewer\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert out == "the viewer has stopped; nothing was saved\n"


def test_without_a_screen_it_says_how_to_reach_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(opening.Server, "serve_forever", lambda self: _interrupt())
    result = CliRunner().invoke(app, ["view", str(folder / "out")])
    assert result.exit_code == 0, result.output
    port = re.search(r"127\.0\.0\.1:([0-9]+)/", result.output)
    assert port
    assert f"ssh -N -L {port[1]}:127.0.0.1:{port[1]} " in result.output


def test_the_secret_is_not_in_the_browsers_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: bool(seen.append((url, ""))) or True)
    monkeypatch.setattr(opening.Server, "serve_forever", lambda self: seen.append(("", self.token)))
    result = CliRunner().invoke(app, ["view", str(folder / "out")])
    assert result.exit_code == 0, result.output
    (url, _), (_, token) = seen
    assert token in result.output, "who sees the terminal may open it again"
    assert token not in url


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_folder_that_is_not_there_or_holds_no_table(tmp_path: Path, folder: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nothing")
    (tmp_path / "new").mkdir()
    assert "has no table" in refused(tmp_path / "new")
    (folder / "out" / "features.csv").unlink()  # as a run leaves it that was stopped
    assert "has no table" in refused(folder / "out")
    (folder / "out" / "features.csv").write_text("patient_id\nP1\n")
    assert "no column qc_status" in refused(folder / "out")


def test_masks_need_scans(folder: Path) -> None:
    assert "--masks needs --scans" in refused(folder / "out", "--masks", folder)


def test_a_port_that_is_taken(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder / "out", other)
    with viewing(folder / "out") as client:
        line = refused(other, "--port", str(client.server.port))
    assert f"port {client.server.port} is taken" in line


def test_of_two_viewers_the_second_only_shows(folder: Path) -> None:
    with viewing(folder / "out") as first, viewing(folder / "out") as second:
        assert first.get("api/cohort").json["read_only"] == ""
        assert "another viewer" in second.get("api/cohort").json["read_only"]
        n = second.number(FOUND)
        mask = second.get(f"api/row/{n}").json["mask"]
        assert (mask["editable"], "another viewer" in mask["why_not"]) == (False, True)
        assert second.ask("PUT", f"api/mask/{n}", b"", {"X-Pancseg": "1"}).status == 403
        assert second.post(f"api/review/{n}", {}).status == 403
    with viewing(folder / "out") as third:
        assert third.get("api/cohort").json["read_only"] == ""


def test_a_folder_that_cannot_be_written_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(opening, "check_writable", read_only)
    before = sorted((folder / "out").rglob("*"))
    with viewing(folder / "out") as client:
        assert "cannot be written" in client.get("api/cohort").json["read_only"]
        n = client.number(FOUND)
        assert client.get(f"api/scan/{n}").body
        assert not client.get(f"api/row/{n}").json["mask"]["editable"]
    assert sorted((folder / "out").rglob("*")) == before


def test_a_scan_that_moved_is_asked_for_and_found_again(folder: Path) -> None:
    (folder / f"{FOUND}.nii.gz").rename(folder / "moved.nii.gz")
    with viewing(folder / "out") as client:
        advice = client.server.session.whereabouts.advice
        assert advice == (
            "1 of 3 scans is not where the run looked for it; to see its slices, give `scans`"
        )
        n = client.number(FOUND)
        row = client.get(f"api/row/{n}").json
        assert row["scan"] is None
        assert "does not exist" in row["why_no_scan"]
        assert client.get("api/cohort").json["rows"][n]["thumbnail"]
        assert client.get(f"api/scan/{n}", status=409).json["error"] == row["why_no_scan"]
    manifest = folder / "cohort.csv"
    manifest.write_text(manifest.read_text().replace(f"{FOUND}.nii.gz", "moved.nii.gz"))
    with viewing(folder / "out", read_cohort(manifest)) as client:
        assert not client.server.session.whereabouts.advice
        assert client.get(f"api/row/{client.number(FOUND)}").json["mask"]["editable"]


@pytest.mark.parametrize("content", [None, "", "[]", '{"a": {}}', '{"a": 1}'])
def test_without_a_note_of_the_scans_the_cohort_is_asked_for(
    folder: Path, content: str | None
) -> None:
    noted = folder / "out" / ".pancseg" / "scans.json"
    noted.unlink() if content is None else noted.write_text(content)
    with viewing(folder / "out") as client:
        assert "give `scans`" in client.server.session.whereabouts.advice
        row = client.get(f"api/row/{client.number(FOUND)}").json
        assert row["scan"] is None
        assert "start the viewer again" in row["why_no_scan"]
    with viewing(folder / "out", read_cohort(folder / "cohort.csv")) as client:
        for patient, label in (("pancreas", 1), ("tumour", 2)):
            mask = client.get(f"api/row/{client.number('given', patient)}").json["mask"]
            assert (mask["label"], mask["editable"], mask["changed"]) == (label, True, False)


def test_regions_of_the_command_line_are_known_without_a_note(folder: Path) -> None:
    """A cohort names no regions where the run's options did; the table's provenance has them."""
    out = folder / "out"
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["regions"]["tumour"] == ["2"]
    manifest = folder / "plain.csv"
    manifest.write_text("patient_id,image,mask\ngiven,given.nii.gz,given_mask.nrrd\n")
    with viewing(out, read_cohort(manifest)) as client:
        mask = client.get(f"api/row/{client.number('given', 'tumour')}").json["mask"]
        assert (mask["label"], mask["changed"]) == (2, False)
        assert "2 of 5 rows" in client.server.session.whereabouts.advice


def test_another_cohort_is_refused(folder: Path) -> None:
    manifest = folder / "other.csv"
    manifest.write_text(f"patient_id,image\nsomebody,{FOUND}.nii.gz\n")
    assert "none of the table's 5 rows" in refused(folder / "out", "--scans", manifest)


def test_rows_keep_their_number_when_a_run_makes_the_table_anew(folder: Path) -> None:
    out, manifest = folder / "out", folder / "cohort.csv"
    lines = manifest.read_text().splitlines(keepends=True)
    with viewing(out) as client:
        n = client.number(EMPTY)
        manifest.write_text("".join([lines[0], lines[2]]))
        run(manifest, out)
        (row,) = client.get("api/cohort").json["rows"]
        assert (row["n"], row["id"][0]) == (n, EMPTY)
        assert client.get("api/row/0", status=404).json["error"]


def test_a_row_that_a_run_adds_can_be_corrected_without_a_restart(folder: Path) -> None:
    out, manifest = folder / "out", folder / "cohort.csv"
    whole = manifest.read_text()
    manifest.write_text("".join(whole.splitlines(keepends=True)[:2]))
    run(manifest, out)
    with viewing(out) as client:
        before = client.get("api/alive").json["now"]
        assert client.get("api/alive").json["now"] == before
        manifest.write_text(whole)
        run(manifest, out)
        assert client.get("api/alive").json["now"] != before
        mask = client.get(f"api/row/{client.number('given', 'tumour')}").json["mask"]
        assert (mask["label"], mask["editable"], mask["changed"]) == (2, True, False)


def test_what_opens_first_is_read_while_the_browser_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def read(path: Path, **keywords: str | None) -> sitk.Image:
        seen.append(path)
        return read_scan(path, **keywords)

    monkeypatch.setattr(volumes, "read_scan", read)
    with viewing(folder / "out") as client:
        rows = client.get("api/cohort").json["rows"]
        first = next((row for row in rows if row["to_look_at"]), rows[0])
        client.server.session.read_first()
        assert [path.name for path in seen] == [f"{first['id'][0]}.nii.gz"]
        assert client.get(f"api/row/{first['n']}").json["scan"]
        assert len(seen) == 1, "it is in memory"
    seen[0].unlink()
    with viewing(folder / "out") as client:
        client.server.session.read_first()  # the page will tell, once it asks


def test_a_link_in_the_output_folder_is_refused(folder: Path) -> None:
    out = folder / "out"
    os.rename(out / "masks", folder / "elsewhere")
    (out / "masks").symlink_to(folder / "elsewhere")
    assert "masks in the output folder is a link" in refused(out)


def test_under_pseudonyms_the_key_leads_to_the_scans(folder: Path) -> None:
    out, key, manifest = folder / "hidden", folder / "key", folder / "cohort.csv"
    key.write_text("0123456789abcdef0123456789abcdef")
    words = ["run", str(manifest), "--weights", "monet_phantom", "--pseudonymise", str(key)]
    words += ["--config", str(folder / "quick.yaml"), "--out", str(out), "--workers", "0"]
    assert CliRunner().invoke(app, words).exit_code == 1
    with viewing(out) as client:
        advice = client.server.session.whereabouts.advice
        assert "as its ids are pseudonyms" in advice
        assert "give `scans` and `pseudonymise`" in advice
        assert client.get("api/cohort").json["rows"][0]["thumbnail"]
    cases = pseudonymised(read_cohort(manifest), read_key(key, out))
    with viewing(out, cases) as client:
        rows = client.get("api/cohort").json["rows"]
        assert all(row["id"][0].startswith("p") for row in rows)
        mask = client.get(f"api/row/{rows[0]['n']}").json["mask"]
        assert (mask["exists"], mask["editable"], mask["changed"]) == (True, True, False)
    assert "--pseudonymise needs --scans" in refused(out, "--pseudonymise", key)


def test_the_page_names_options_as_the_terminal_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's texts name parameters; the command's page must not."""
    seen: list[str] = []

    def ask(server: opening.Server) -> None:
        seen.append(server.session.words("give one by `masks`, or raise `memory_bytes`"))
        raise KeyboardInterrupt

    monkeypatch.setattr(opening.Server, "serve_forever", ask)
    result = CliRunner().invoke(app, ["view", str(folder / "out"), "--no-browser"])
    assert result.exit_code == 0, result.output
    assert seen == ["give one by `--masks`, or raise `--memory`"]
