"""NiiVue lies in the package as its authors published it, with its licence."""

from __future__ import annotations

import hashlib
from importlib.resources import files

FOLDER = files("pancseg.viewer").joinpath("static", "niivue")


def test_niivue_is_the_published_file() -> None:
    digest = hashlib.sha256(FOLDER.joinpath("niivue.umd.js").read_bytes()).hexdigest()
    assert digest in FOLDER.joinpath("README.md").read_text(encoding="utf-8")
    assert "BSD 2-Clause" in FOLDER.joinpath("LICENSE").read_text(encoding="utf-8")


def test_no_script_of_the_page_asks_elsewhere_or_writes_html() -> None:
    for path in files("pancseg.viewer").joinpath("static").iterdir():
        if path.name.endswith((".js", ".html", ".css")):
            text = path.read_text(encoding="utf-8")
            for word in (
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "eval(",
                "document.write",
            ):
                assert word not in text, path.name
