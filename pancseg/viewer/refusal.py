"""The exception for requests that are not carried out."""

from __future__ import annotations

from http import HTTPStatus


class Refusal(Exception):
    """A request that is not carried out.

    Attributes:
        status: of the answer.
        text: one sentence for the person at the page.
        more: what else the page needs to know.

    Example:
        >>> Refusal(HTTPStatus.CONFLICT, "the mask has been changed", sha256="none").more
        {'sha256': 'none'}
    """

    def __init__(self, status: HTTPStatus, text: str, **more: str) -> None:
        super().__init__(text)
        self.status, self.text, self.more = status, text, more
