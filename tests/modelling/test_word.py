"""The report as a Word document: text, tables and pictures are those of the Markdown."""

import io

import numpy as np
import pytest
from docx import Document
from PIL import Image

from pancseg.modelling.report.parts import Picture, Section, markdown
from pancseg.modelling.report.word import word_document


@pytest.fixture
def pictures():
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (600, 3000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "PNG", dpi=(300, 300))
    return {"roc.png": content.getvalue()}


TEXT = markdown(
    "Radiomics and os\\_months",
    [
        Section("Verdict", ["**What?** Does *it* work? See `model`.", "* a < b & c", "* second"]),
        Section(
            "Performance",
            ["Before."],
            ["model", "AUC"],
            [["clinical \\* radiomics", "0.7"], ["a|b", "0.6"]],
            [Picture("roc.png", "A curve."), Picture("lost.png", "Not there.")],
            caption="Performance.",
            notes=["After."],
        ),
    ],
)


def test_the_document_holds_what_the_report_says(pictures):
    document = Document(io.BytesIO(word_document(TEXT, pictures)))
    styles = [(p.style.name, p.text) for p in document.paragraphs if p.text]
    assert styles[0] == ("Title", "Radiomics and os_months")
    assert ("Heading 1", "Verdict") in styles
    assert ("Normal", "What? Does it work? See model.") in styles
    assert ("List Bullet", "a < b & c") in styles
    assert ("Normal", "Table 1. Performance.") in styles
    assert ("Normal", "Figure 1. A curve.") in styles
    assert ("Normal", "Figure 2") in styles  # no such file: its description
    (table,) = document.tables
    cells = [[cell.text for cell in row.cells] for row in table.rows]
    assert cells == [["model", "AUC"], ["clinical * radiomics", "0.7"], ["a|b", "0.6"]]
    runs = next(p for p in document.paragraphs if p.text.startswith("What?")).runs
    assert [(r.text, bool(r.bold), bool(r.italic)) for r in runs if r.bold or r.italic] == [
        ("What?", True, False),
        ("it", False, True),
    ]
    assert all(run.bold for cell in table.rows[0].cells for run in cell.paragraphs[0].runs)


def test_a_wide_picture_fits_the_page_and_keeps_its_shape(pictures):
    document = Document(io.BytesIO(word_document(TEXT, pictures)))
    (shape,) = document.inline_shapes
    section = document.sections[0]
    assert shape.width <= section.page_width - section.left_margin - section.right_margin
    assert shape.width / shape.height == pytest.approx(5, rel=1e-3)


def test_the_same_report_gives_the_same_bytes(pictures):
    assert word_document(TEXT, pictures) == word_document(TEXT, pictures)
