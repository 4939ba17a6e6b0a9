"""Says how to install a package that only some of the work needs."""

from __future__ import annotations

from importlib.util import find_spec


def missing(package: str, install: str) -> str:
    """Return what to install when a package is not there; empty when it is.

    Args:
        package: name that it is imported by.
        install: what ``pip install`` is told, quoted for a shell.

    Example:
        >>> missing("numpy", "numpy")
        ''
        >>> missing("no_such_package", "'pancseg[torch]'")
        "the package no_such_package (pip install 'pancseg[torch]')"
    """
    return "" if find_spec(package) else f"the package {package} (pip install {install})"


def require_torch(purpose: str) -> None:
    """Refuse work that needs torch where it is not installed.

    Args:
        purpose: what needs it; begins the message.

    Raises:
        ValueError: torch is not installed; says how to install it.
    """
    if lacking := missing("torch", "'pancseg[torch]'"):
        raise ValueError(f"{purpose} needs {lacking}")
