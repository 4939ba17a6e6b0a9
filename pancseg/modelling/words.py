"""Words of sentences on models: articles, lists, counts."""

from __future__ import annotations

from collections.abc import Sequence


def the(measure: str) -> str:
    """Return the name of a measure with its article, if it takes one.

    >>> the("AUC"), the("Harrell's C")
    ('the AUC', "Harrell's C")
    """
    return measure if measure.startswith("Harrell") else f"the {measure}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return names as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b"], "or"), listed(["a", "b", "c"])
    ('a', 'a or b', 'a, b and c')
    """
    return f" {last} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun.

    >>> counted(1, "patient"), counted(2, "patient"), counted(0, "class", "classes")
    ('1 patient', '2 patients', '0 classes')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
