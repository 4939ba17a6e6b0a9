"""Turn a report's Markdown into a Word document, which is what co-authors edit."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import docx
from docx.oxml import OxmlElement
from docx.shared import Cm, Pt
from markdown_it import MarkdownIt
from markdown_it.token import Token

_RULES = ["heading", "list", "table", "emphasis", "backticks", "escape", "image"]
_WIDTH_CM, _SMALL, _BODY = 17, 8, 10.5
_DATE = datetime(2000, 1, 1, tzinfo=UTC)
"""Dates in the file, so that the same report gives the same bytes."""


def word_document(markdown: str, pictures: Mapping[str, bytes]) -> bytes:
    """Return the report as a .docx file; the same report gives the same bytes.

    Args:
        markdown: the report.
        pictures: PNG content by the name that ``![…](name)`` gives; others become their
            description.
    """
    document = docx.Document()
    page = document.sections[0]
    page.page_width, page.page_height = Cm(21), Cm(29.7)
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Cm(2)
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(_BODY)
    tokens = iter(MarkdownIt("zero").enable(_RULES).parse(markdown))
    in_list = False
    for token in tokens:
        match token.type:
            case "heading_open":
                text = next(tokens)
                _runs(document.add_heading(level=_level(token.tag)), text.children or ())
            case "bullet_list_open" | "ordered_list_open":
                in_list = True
            case "bullet_list_close" | "ordered_list_close":
                in_list = False
            case "paragraph_open":
                _paragraph(document, next(tokens).children or (), pictures, in_list)
            case "table_open":
                _table(document, list(_rows(tokens)))
    properties = document.core_properties
    properties.author, properties.comments, properties.title = "pancseg", "", _title(markdown)
    properties.created = properties.modified = _DATE
    properties.last_modified_by, properties.revision = "pancseg", 1
    content = io.BytesIO()
    document.save(content)
    return _with_fixed_dates(content.getvalue())


def _level(tag: str) -> int:
    """Return the level of a heading; the first one is Word's title, level 0."""
    return int(tag[1:]) - 1


def _title(markdown: str) -> str:
    return markdown.splitlines()[0].lstrip("# ").replace("\\", "")[:255]


def _paragraph(
    document: Any, parts: Sequence[Token], pictures: Mapping[str, bytes], in_list: bool
) -> None:
    if len(parts) == 1 and parts[0].type == "image" and str(parts[0].attrs["src"]) in pictures:
        content = pictures[str(parts[0].attrs["src"])]
        picture = document.add_picture(io.BytesIO(content))
        widest = Cm(_WIDTH_CM)
        if picture.width > widest:
            picture.height, picture.width = int(picture.height * widest / picture.width), widest
        document.paragraphs[-1].paragraph_format.keep_with_next = True
        return
    _runs(document.add_paragraph(style="List Bullet" if in_list else None), parts)


def _runs(paragraph: Any, parts: Sequence[Token]) -> None:
    """Write text with its bold, italic and code parts."""
    bold = italic = False
    for part in parts:
        match part.type:
            case "strong_open" | "strong_close":
                bold = part.type == "strong_open"
            case "em_open" | "em_close":
                italic = part.type == "em_open"
            case "softbreak" | "hardbreak":
                paragraph.add_run(" ")
            case _:
                run = paragraph.add_run(part.content)
                run.bold, run.italic = bold or None, italic or None
                if part.type == "code_inline":
                    run.font.name = "Consolas"


def _rows(tokens: Iterator[Token]) -> Iterator[list[Sequence[Token]]]:
    """Yield the cells of a table's rows, up to its end."""
    row: list[Sequence[Token]] = []
    for token in tokens:
        match token.type:
            case "tr_open":
                row = []
            case "inline":
                row.append(token.children or ())
            case "tr_close":
                yield row
            case "table_close":
                return


def _table(document: Any, rows: Sequence[Sequence[Sequence[Token]]]) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Table Grid")
    for line, cells in zip(table.rows, rows, strict=True):
        for cell, parts in zip(line.cells, cells, strict=False):
            _runs(cell.paragraphs[0], parts)
            for run in cell.paragraphs[0].runs:
                run.font.size = Pt(_SMALL)
    first = table.rows[0]
    for run in (run for cell in first.cells for run in cell.paragraphs[0].runs):
        run.bold = True
    repeated = OxmlElement("w:tblHeader")  # the head again on every page
    first._tr.get_or_add_trPr().append(repeated)
    for line in table.rows:
        line._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
    document.add_paragraph()


def _with_fixed_dates(content: bytes) -> bytes:
    """Return a zip file again, without the time at which its parts were written."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as given,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as fixed,
    ):
        for name in given.namelist():
            about = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            about.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(about, given.read(name))
    return out.getvalue()
