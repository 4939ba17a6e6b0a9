"""Recognise the contrast phase in the text fields of a DICOM series, in English and German.

Only a name from ``PHASES`` is returned, never the text itself, because a technician may have typed
anything into it, even a patient's name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

PORTAL_VENOUS = "portal_venous"
PHASES = (PORTAL_VENOUS, "arterial", "native", "delayed")
PHASE_TEXTS = (
    "ContrastBolusAgentPhase", "SeriesDescription", "ProtocolName", "ImageComments",
    "ContrastBolusAgent",
)  # fmt: skip
"""Elements that may name a contrast phase; nothing but the phase is kept of them."""

_SAYS_NOTHING = (
    r"(non|not|no|nicht|kein\w*) (porto?|portal|pfortader)\w*( ven\w*)?",
    r"(without|w/o|wo|ohne)( \w+)? (and|und|&|\+|/) (with|w|mit)",
    r"(with|w|mit)( \w+)? (and|und|&|\+|/) (without|w/o|wo|ohne)",
    r"(with|w) ?/? ?(without|w/o|wo)|(without|w/o|wo) ?/? ?(with|w)",
)
"""Removed before anything else: "non-portal" and "without and with contrast" name no phase."""

_PATTERNS = (
    ("native", r"(without|w/o|wo|no|ohne)( iv| i\.v\.)? (contrast|kontrast\w*|km)|o\.? ?km"),
    ("native", r"(non|un|pre) ?(contrast|kontrast|enhanced)\w*|ncct|nativ\w*|nat|plain"),
    ("native", r"(ct|abd|abdomen|becken|pelvis) [ck]m?-(?=\s|$)"),
    ("arterial", r"(late|spaet) ?art\w*|(pancrea\w*|pankreas\w*|pankreat\w*) ?phase"),
    ("delayed", r"(late|spaet|delayed) ?(portal ?)?ven\w*"),
    (PORTAL_VENOUS, r"(porto?|portal|pfortader)( ?ven\w*)?|pfortader\w*|pvp?|pven"),
    (PORTAL_VENOUS, r"ven|venous\w*|venoe?s\w*"),
    ("arterial", r"art|arter\w*|cta|angio|angiogra\w*"),
    ("delayed", r"delayed|delay phase|late|spaet\w*|equilibrium\w*|excret\w*|ausscheidung\w*"),
)
"""Phase and pattern, whole words only; a match is removed before the next pattern is tried."""

_COMPILED = [(phase, re.compile(rf"(?<![\w.])(?:{text})(?!\w)")) for phase, text in _PATTERNS]
_NOTHING = [re.compile(rf"(?<![\w.])(?:{text})(?!\w)") for text in _SAYS_NOTHING]
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def phase_in(texts: Iterable[str]) -> str:
    """Return the phase in the first text that names exactly one; an empty string if none does.

    >>> phase_in(["Thorax/Abdomen", "Abdomen portalvenös 3.0"])
    'portal_venous'
    >>> phase_in(["ABD ART + VEN"])
    ''
    """
    for text in texts:
        named = _phases(text)
        if len(named) == 1:
            return named.pop()
    return ""


def _phases(text: str) -> set[str]:
    """Return all phases that a text names."""
    rest = _simplified(text)
    for pattern in _NOTHING:
        rest = pattern.sub(" ", rest)
    named = set()
    for phase, pattern in _COMPILED:
        rest, count = pattern.subn(" ", rest)
        if count:
            named.add(phase)
    return named


def _simplified(text: str) -> str:
    """Return the text in lower case, without umlauts, and with one space between words.

    ``A_B``, ``A,B`` and ``A-B`` are two words, ``C-`` is one: a final minus sign is kept.
    """
    lower = unicodedata.normalize("NFC", text).casefold().translate(_UMLAUTS)
    lower = re.sub(r"-(?=[^\W_])", " ", lower)
    lower = re.sub(r"([&+]|(?<!w)/)", r" \1 ", lower)  # but "w/" and "w/o" stay one word
    return re.sub(r"[\s_,;:()\[\]^]+", " ", lower)
