"""Turn what people type into DICOM headers into words that identify nobody."""

from __future__ import annotations

import re

_KERNEL_WORDS = (
    "standard|stnd|std|soft|vsoft|smooth|detail|detl|lung|bone|boneplus|chest|edge|ultra|sharp|"
    "vsharp|medium|body|brain|abdomen"
)
_KERNEL = re.compile(
    r"[A-Z][a-z]?\d{2,3}[a-z]{0,2}(?:/\d)?"  # Siemens: B30f, I31f/3, Br40d/3
    r"|F[CLS]\d{2}(?:-[A-Z0-9]{1,2})?"  # Canon and Toshiba: FC08, FC13-H
    r"|[A-FLUY][A-E]?"  # Philips: B, C, YA, UB
    rf"|(?:[BHL][_ ])?(?i:{_KERNEL_WORDS})(?:[_ ][A-E]|\+)?"  # GE: STANDARD; UIH: B_SOFT_B
)
_NOT = (
    r"(?:no|none|non(?!\W*ionic)|not|nil|n/?[ac]|false|w/?o|without|ohne|nativ\w*|kein\w*|nein|sans|"
    r"sin)\b"
)
_NO_CONTRAST = re.compile(
    rf"\W*(?:(?:{_NOT}|n\b|0(?:[.,]0+)?\b)(?:\W*\b(?:{_NOT}|(?:i\.?v|oral|con|[ck]ontrast\w*|km|agents?|"
    r"medi\w+|ml|cc|ct|scan|study|phase|enhanced|injection|gabe|given|used|administered|applied|"
    r"gegeben)\b))*\W*)?",
    re.IGNORECASE,
)
"""Empty, or a negation followed only by words about contrast."""
_SAYS_NO = re.compile(rf"\W*{_NOT}", re.IGNORECASE)
_LONGEST_TEXT = 64
"""Length of a DICOM long string; the rest of a longer text is ignored."""


def kernel_word(text: str) -> str:
    """Return a reconstruction kernel of a known form; ``other`` for any other text.

    >>> kernel_word("Br40d"), kernel_word("Doe^Jane"), kernel_word("")
    ('Br40d', 'other', '')
    """
    kernel = "/".join(part.strip() for part in text.split("\\"))
    return kernel if _KERNEL.fullmatch(kernel) else "other" if text else ""


def contrast_word(text: str) -> str:
    """Return whether a text names a contrast agent: yes, no, or empty where it says both.

    >>> contrast_word("Imeron 350"), contrast_word("without contrast"), contrast_word("")
    ('yes', 'no', 'no')
    """
    text = text[:_LONGEST_TEXT].replace("\ufffd", "x")  # a letter of another script
    if _NO_CONTRAST.fullmatch(text):
        return "no"
    return "" if _SAYS_NO.match(text) else "yes"  # "no oral, IV ..." means both
