"""Turn a report's Markdown into one HTML page that needs no other file and runs nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from html import escape

from markdown_it import MarkdownIt

_RULES = ["heading", "list", "table", "emphasis", "backticks", "escape", "image"]
"""All that a report may use. Links, raw HTML and whatever else a cell could hold stay text."""

_MEANT_AS_MARKDOWN = re.compile(r"([\\`*\[]|<(?=[A-Za-z/!?])|(?<![^\W_])_|_(?![^\W_]))")

_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]+")
_PARAMETER = re.compile(r"\\`([a-z_]+|pancseg [a-z ]+)\\`")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
body{{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse;display:block;overflow-x:auto}}
td,th{{border:1px solid #ccc;padding:.2em .6em;text-align:left}}
th{{background:#f4f4f4}}img{{max-width:100%}}
</style></head><body>
{body}</body></html>
"""


def html_page(markdown: str, pictures: Mapping[str, bytes]) -> str:
    r"""Return the whole page.

    Args:
        markdown: the report; the heading that it begins with becomes the page's title.
        pictures: PNG content by the name that ``![…](name)`` gives; any other picture is shown as
            its description, so that opening the page loads nothing.

    >>> page = html_page("# Dice\n\n**0.9** <b>", {})
    >>> "<title>Dice</title>" in page, "<p><strong>0.9</strong> &lt;b&gt;</p>" in page
    (True, True)
    """
    parser = MarkdownIt("zero").enable(_RULES)
    tokens = parser.parse(markdown)
    for part in (child for token in tokens for child in token.children or ()):
        if part.type == "image" and part.attrs["src"] in pictures:
            coded = base64.b64encode(pictures[str(part.attrs["src"])]).decode()
            part.attrs["src"] = f"data:image/png;base64,{coded}"
        elif part.type == "image":
            part.type = "text"
    has_title = tokens and tokens[0].type == "heading_open"
    title = escape(tokens[1].content) if has_title else ""
    return _PAGE.format(title=title, body=parser.renderer.render(tokens, parser.options, {}))


def escape_markdown(text: str) -> str:
    r"""Return Markdown that shows a text, such as a name from somebody's table, unchanged.

    Line breaks and other control characters become blanks.

    >>> escape_markdown("wavelet*LLH*_[x](y) shape_Maximum2DDiameter < 3")
    'wavelet\\*LLH\\*\\_\\[x](y) shape_Maximum2DDiameter < 3'
    """
    return _MEANT_AS_MARKDOWN.sub(r"\\\1", _CONTROLS.sub(" ", text))


def escape_message(text: str) -> str:
    r"""Return Markdown of a message that may name parameters or commands in backticks.

    Everything else in it, such as a name from somebody's table, is shown unchanged.

    >>> escape_message("drop <b> with `drop`")
    'drop \\<b> with `drop`'
    """
    return _PARAMETER.sub(r"`\1`", escape_markdown(text))
