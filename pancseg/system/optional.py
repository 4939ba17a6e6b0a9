"""Find out whether an optional package is installed, and say how to install it."""

from __future__ import annotations

from importlib.util import find_spec


def missing(package: str, install: str) -> str:
    """Return how to install a package that is missing; empty if it is installed.

    Args:
        package: import name of the package.
        install: argument of ``pip install``, quoted for a shell.

    Example:
        >>> missing("numpy", "numpy")
        ''
        >>> missing("no_such_package", "'pancseg[torch]'")
        "the package no_such_package (pip install 'pancseg[torch]')"
    """
    return "" if find_spec(package) else f"the package {package} (pip install {install})"


def require_torch(purpose: str) -> None:
    """Raise an error if torch is not installed.

    Args:
        purpose: feature that needs torch; the first words of the message.

    Raises:
        ValueError: torch is not installed; the message says how to install it.
    """
    if lacking := missing("torch", "'pancseg[torch]'"):
        raise ValueError(f"{purpose} needs {lacking}")
