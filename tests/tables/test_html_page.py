"""Reports as HTML: everything a report uses is shown, and nothing that a table's text asks for."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pancseg.tables.html_page import escape_markdown, html_page

TAGS = {"h1", "h2", "p", "strong", "em", "code", "ul", "ol", "li"} | {
    *("table", "thead", "tbody", "tr", "th", "td", "img"),
    *("html", "head", "meta", "title", "style", "body"),
}


class Seen(HTMLParser):
    """What a browser sees: tags, their attributes, the text of the body and of the first cell."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.body, self.cell, self.inside = [], [], "", "", []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in ("img", "meta"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if "body" in self.inside:
            self.body += data
        if "td" in self.inside and self.tags.count("td") == 1:
            self.cell += data


def test_a_report_is_shown_whole():
    text = (
        "# Dice & HD95\n\n**Bold** with `--option` and `<i>`.\n\n## Table\n\n"
        "| model | n |\n| --- | --: |\n| a\\|b | 3 |\n\n* one\n  line\n* two\n\n![plot](dice.png)\n"
    )
    page = html_page(text, {"dice.png": b"\x89PNG"})
    assert "<title>Dice &amp; HD95</title>" in page
    assert "<h1>Dice &amp; HD95</h1>" in page
    assert "<strong>Bold</strong> with <code>--option</code> and <code>&lt;i&gt;</code>." in page
    assert "<td>a|b</td>" in page
    assert '<td style="text-align:right">3</td>' in page
    assert page.count("<li>") == 2
    assert '<img src="data:image/png;base64,iVBORw==" alt="plot">' in page
    assert set(Seen(page).tags) <= TAGS


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](https://example.org) <https://example.org> https://example.org",
        "[x]: https://example.org\n\n[x]",
        "![seen](https://example.org/pixel.png)",
        "![seen](data:image/svg+xml;base64,AAAA)",
        "| a |\n| --- |\n| <b onclick=x>b</b> |",
        "</body></html><script>",
        "# </title><script>alert(1)</script>",
    ],
)
def test_what_a_text_brings_along_is_neither_run_nor_loaded(text):
    seen = Seen(html_page(text, {}))
    assert set(seen.tags) <= TAGS - {"img"}
    names = {name for name, value in seen.attributes}
    assert names <= {"lang", "charset", "http-equiv", "content", "name"}


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1))
def test_an_escaped_name_is_shown_as_it_is(name):
    cell = escape_markdown(name).replace("|", "\\|")
    seen = Seen(html_page(f"| name |\n| --- |\n| .{cell}. |\n", {}))
    assert seen.cell == f".{name}."
    assert set(seen.tags) <= TAGS - {"img", "code", "em", "strong"}


def test_usual_names_stay_readable_in_markdown():
    for name in ("original_shape_MeshVolume", "wavelet-LLH_glcm_Idmn", "p < 0.05", "U-Net (best)"):
        assert escape_markdown(name) == name


def test_a_page_without_heading_has_an_empty_title():
    assert "<title></title>" in html_page("text", {})
