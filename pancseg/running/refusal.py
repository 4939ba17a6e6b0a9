"""Owns the one exception of a run that the user can mend before anything is done."""

from __future__ import annotations


class Refusal(ValueError):
    """A run cannot be begun, or go on, as it was asked for; the message is for the user."""
