"""The version of pancseg."""

__version__ = "0.2.0"
