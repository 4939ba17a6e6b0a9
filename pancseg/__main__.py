"""``python -m pancseg`` is the same as ``pancseg``."""

from pancseg.cli import app

if __name__ == "__main__":
    app()
