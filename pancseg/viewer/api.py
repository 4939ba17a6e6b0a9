"""Answer the page's requests: which URL gives what."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from pancseg.errors import UnusableCase
from pancseg.processing.picture_names import PICTURES_FOLDER
from pancseg.review.decisions import read_decisions
from pancseg.review.standing import by_row
from pancseg.viewer.nifti import nifti_bytes
from pancseg.viewer.refusal import Refusal
from pancseg.viewer.reviews import decision_from, record
from pancseg.viewer.rows import ViewedRow, row_for_page, rows_for_page
from pancseg.viewer.saving import check_scan, drawn_voxels, save_mask, seen_by
from pancseg.viewer.session import Query, Session, View

PAGE = "index.html"
_FOLDER = Path(__file__).with_name("static")
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
_STATIC = frozenset({"", *_TYPES, ".html", ".css", ".svg", ".png", ".txt", ".woff2", ".json"})
_NUMBER = re.compile("[0-9]{1,6}")
_NIFTI = "application/octet-stream"


@dataclass(frozen=True)
class Request:
    """A request that has come from the page.

    Attributes:
        method: ``GET``, ``PUT`` or ``POST``.
        path: what follows the token, without the query; not decoded.
        query: what follows the question mark.
        headers: in lower case.
        body: of PUT and POST.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    body: tuple[bytes | memoryview, ...]
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK


def answer(session: Session, request: Request) -> Answer:
    """Answer a request; what cannot be done is told as JSON with ``error``."""
    try:
        return _routed(session, request)
    except Refusal as refusal:
        return refused(refusal, session.words)
    except UnusableCase as unusable:
        return _json({"error": session.words(unusable.fact)}, HTTPStatus.CONFLICT)
    except (OSError, ValueError) as error:
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return _json({"error": session.words(text)}, HTTPStatus.INTERNAL_SERVER_ERROR)


def refused(refusal: Refusal, words: Callable[[str], str] = str) -> Answer:
    """Return the answer to a request that is not carried out."""
    return _json({"error": words(refusal.text), **refusal.more}, refusal.status)


def _routed(session: Session, request: Request) -> Answer:
    first, _, rest = request.path.partition("/")
    if request.method == "GET":
        if request.path == "":
            return _static(PAGE)
        if first == "static":
            return _static(rest)
        if first == "pictures":
            return _picture(session, rest)
    if first != "api":
        raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
    what, _, number = rest.partition("/")
    if not number:
        return _of_session(session, request.method, what)
    return _of_row(session, request, what, _viewed(session, number))


def _of_session(session: Session, method: str, what: str) -> Answer:
    if method == "GET" and what == "alive":
        return _json({"alive": True, "now": session.trace})
    if method == "GET" and what == "cohort":
        now = session.trace  # before what it tells apart is read
        rows = list(session.table.rows().values())
        decisions = read_decisions(session.folder)
        return _json(
            {
                "rows": rows_for_page(rows, decisions, session.words),
                "read_only": session.words(session.read_only),
                "reviewer": session.reviewer,
                "now": now,
            }
        )
    raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")


def _of_row(session: Session, request: Request, what: str, viewed: ViewedRow) -> Answer:
    query = _query(request.query)
    if request.method == "GET" and what == "row":
        return _json(_row(session, viewed, query))
    if request.method == "GET" and what == "scan":
        view = session.view(viewed, query)
        voxels = view.part.cut(view.volume.voxels)
        return Answer(nifti_bytes(voxels, view.volume.affine(view.part)), _NIFTI)
    if request.method == "GET" and what == "mask":
        view = session.view(viewed, query)
        shown = view.mask.shown(view.volume, view.part)
        return Answer(nifti_bytes(shown, view.volume.affine(view.part)), _NIFTI)
    if request.method == "PUT" and what == "mask":
        return _json(_save(session, request, viewed, query))
    if request.method == "POST" and what == "review":
        return _json(_review(session, request, viewed))
    raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")


def _save(session: Session, request: Request, viewed: ViewedRow, query: Query) -> dict[str, Any]:
    with session.saving():
        seen = seen_by(request.headers)
        view = session.view(viewed, query)
        check_scan(view, seen.scan)
        if why_not := session.why_not(view):
            raise Refusal(HTTPStatus.FORBIDDEN, why_not)
        drawn = drawn_voxels(request.body, request.headers, view.part)
        with _told("the mask was not saved"):
            saved = save_mask(session.folder, view, drawn, seen.mask)
        session.saved_masks.add(viewed.n)
        with suppress(UnusableCase, OSError, ValueError):  # the mask is saved all the same
            session.view(viewed, query)  # the page shows the new mask already
    return saved._asdict()


def _review(session: Session, request: Request, viewed: ViewedRow) -> dict[str, Any]:
    with session.saving():
        made = decision_from(request.body, viewed.row, viewed.mask_sha256)
        if made.decision != "comment" and session.shows_other_mask(viewed):
            text = "the mask has been changed since it was measured; run again, then judge it"
            raise Refusal(HTTPStatus.CONFLICT, text)
        with _told("the decision was not saved"):
            record(session.folder, made)
        session.decisions += 1
        session.reviewer = made.by or session.reviewer
        own = by_row(read_decisions(session.folder)).get(viewed.key, [])
    return row_for_page(viewed, own, session.words)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what was not done where a file cannot be written, and why."""
    try:
        yield
    except OSError as error:
        text = f"{what}: {error.strerror or error}"
        raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, text) from error


def _row(session: Session, viewed: ViewedRow, query: Query) -> dict[str, Any]:
    try:
        view = session.view(viewed, query)
    except UnusableCase as unusable:
        why = session.words(unusable.fact)
        mask = {
            "exists": False,
            "sha256": "none",
            "label": 1,
            "editable": False,
            "why_not": why,
            "given": False,
            "path": "",
            "changed": False,
            "table_sha256": viewed.mask_sha256,
        }
        return {"scan": None, "why_no_scan": why, "mask": mask}
    return {"scan": _scan(view), "mask": _mask(session, view)}


def _scan(view: View) -> dict[str, Any]:
    part = view.part
    return {
        "size": view.volume.size,
        "spacing": view.volume.spacing_mm,
        "part": {"start": part.start, "size": part.size, "step": part.step},
        "note": part.note,
        "key": view.volume.key,
        "changed": view.scan_changed,
    }


def _mask(session: Session, view: View) -> dict[str, Any]:
    mask, why_not = view.mask, session.why_not(view)
    return {
        "exists": mask.exists,
        "sha256": mask.sha256,
        "label": mask.label,
        "editable": not why_not,
        "why_not": session.words(why_not),
        "given": mask.file.given,
        "path": str(mask.file.path) if mask.file.given else "",
        "changed": view.changed,
        "table_sha256": view.viewed.mask_sha256,
    }


def _viewed(session: Session, number: str) -> ViewedRow:
    known = _NUMBER.fullmatch(number)
    viewed = session.row(int(number)) if known else None
    if viewed is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "the table has no such row any more")
    return viewed


def _query(text: str) -> Query:
    """Return the part that a query asks for.

    Raises:
        Refusal: it is no such query.
    """
    found = parse_qs(text, keep_blank_values=True, max_num_fields=8)
    unknown = set(found) - {"z", "whole"}
    z = found.get("z", [""])[0]
    if unknown or (z and not (_NUMBER.fullmatch(z) and int(z))):
        raise Refusal(
            HTTPStatus.BAD_REQUEST, "the query is ?z=SLICE, counted from the feet, or ?whole=1"
        )
    return Query(int(z) if z else None, found.get("whole", ["0"])[0] == "1")


def _static(name: str) -> Answer:
    found = {each.relative_to(_FOLDER).as_posix(): each for each in _FOLDER.rglob("*")}
    path = found.get(name)
    if path is None or path.suffix.lower() not in _STATIC or not path.is_file():
        raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
    return Answer((path.read_bytes(),), _kind(name))


def _picture(session: Session, name: str) -> Answer:
    known = {url.partition("/")[2] for each in session.table.rows().values()
             for url in each.row.pictures.values()}  # fmt: skip
    if name not in known:
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no such picture")
    path = session.folder / PICTURES_FOLDER / unquote(name)
    return Answer((path.read_bytes(),), _kind(path.name))


def _kind(name: str) -> str:
    suffix = Path(name).suffix.lower()
    kind = _TYPES.get(suffix) or guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _json(content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer((json.dumps(content, ensure_ascii=False).encode(),), status=status)
