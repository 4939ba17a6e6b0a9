"""Serve the page on this machine alone, and refuse every request that does not come from it."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from pancseg.viewer.api import Answer, Request, answer, refused
from pancseg.viewer.policy import HEADERS
from pancseg.viewer.refusal import Refusal
from pancseg.viewer.session import Session

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
MARK = "X-Pancseg"
"""Header of every request that changes something; no form of another site can send it."""
_ONCE = "open"
"""Begins the path that leads to the page once; no token is so short."""
_FROM_HERE = ("", "none", "same-origin")
_MOST_JSON_BYTES = 1 << 16
_MOST_MASK_BYTES = 80_000_000
"""Of a body: more than a part's voxels, which gzip may lengthen a little."""
_IDLE_S = 120
_DIGITS = re.compile(r"[0-9]{1,12}")


class Server(ThreadingHTTPServer):
    """Serves one session until it is shut down.

    Attributes:
        session: what is served.
        token: first part of every path; who does not know it gets nothing.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, session: Session, port: int = 0) -> None:
        """Take a port of the loopback interface.

        Args:
            session: what is served.
            port: 0 for any that is free.

        Raises:
            OSError: the port is taken, or only the administrator may take it.
        """
        self.session, self.token = session, secrets.token_urlsafe(24)
        self._once, self._taking = secrets.token_urlsafe(24), Lock()
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{LOOPBACK}:{self.port}/{self.token}/"

    @property
    def url_once(self) -> str:
        """An address that leads to the page, once: other users see a browser's command line."""
        return f"http://{LOOPBACK}:{self.port}/{_ONCE}/{self._once}"

    def take_once(self, given: str) -> bool:
        """Return whether a text is the one of :attr:`url_once`, which then leads nowhere."""
        with self._taking:
            fits = bool(self._once) and hmac.compare_digest(given.encode(), self._once.encode())
            if fits:
                self._once = ""
            return fits

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a connection: the browser has mostly gone."""
        log.debug("a connection failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, refuses it or has it answered."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S

    def do_GET(self) -> None:
        """Answer GET."""
        self._answer("GET")

    def do_PUT(self) -> None:
        """Answer PUT."""
        self._answer("PUT")

    def do_POST(self) -> None:
        """Answer POST."""
        self._answer("POST")

    def version_string(self) -> str:
        """Name the server, and no version."""
        return "pancseg"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the terminal; the token is part of each."""
        log.debug("request: %s", self.command)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request that is known here, such as HEAD or OPTIONS."""
        known = code in (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED)
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus(code)
        self.close_connection = True
        self._send(refused(Refusal(status, status.phrase.lower())))

    def _answer(self, method: str) -> None:
        try:
            if method == "GET" and (once := self.path.removeprefix(f"/{_ONCE}/")) != self.path:
                self._lead_to_page(once)
                return
            request = self._request(method)
        except Refusal as refusal:
            self.close_connection = True  # a body may be left unread
            self._send(refused(refusal))
            return
        try:
            found = answer(self.server.session, request)
        except Exception:
            log.exception("an error in the viewer itself")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            found = refused(Refusal(status, "an error in pancseg itself; please report it"))
        self._send(found)

    def _lead_to_page(self, once: str) -> None:
        """Answer the first request of a browser that was opened.

        Raises:
            Refusal: the address was used already, or is another one.
        """
        self._check_origin({name.lower(): text for name, text in self.headers.items()})
        if not self.server.take_once(once):
            text = "this address works once; open the one that the terminal shows"
            raise Refusal(HTTPStatus.NOT_FOUND, text)
        page = f"/{self.server.token}/"
        self._send(Answer((b"",), "text/plain", HTTPStatus.SEE_OTHER), {"Location": page})

    def _request(self, method: str) -> Request:
        """Return the request, if it comes from the page.

        Raises:
            Refusal: it comes from elsewhere, does not know the token, or is too long.
        """
        headers = {name.lower(): text for name, text in self.headers.items()}
        self._check_origin(headers)
        path, _, query = self.path.partition("?")
        _, _, rest = path.partition("/")
        token, slash, inner = rest.partition("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not (known and slash):
            raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
        body = self._body(method, headers, inner) if method != "GET" else b""
        return Request(method, inner, query, headers, body)

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        hosts = [f"{name}:{self.server.port}" for name in (LOOPBACK, "localhost")]
        host, origin = headers.get("host", ""), headers.get("origin")
        foreign = origin is not None and origin != f"http://{host}"
        if host not in hosts or foreign or headers.get("sec-fetch-site", "") not in _FROM_HERE:
            raise Refusal(HTTPStatus.FORBIDDEN, "only the viewer's own page may ask this")

    def _body(self, method: str, headers: Mapping[str, str], inner: str) -> bytes:
        if headers.get(MARK.lower()) != "1":
            raise Refusal(HTTPStatus.FORBIDDEN, f"the header {MARK}: 1 is missing")
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not _DIGITS.fullmatch(length):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "the length of the body is missing")
        most = _MOST_MASK_BYTES if method == "PUT" else _MOST_JSON_BYTES
        if int(length) > most:
            text = f"the body has {int(length):,} bytes (at most {most:,})"
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body ended early")
        return body

    def _send(self, found: Answer, more: Mapping[str, str] = {}) -> None:
        self.send_response(found.status)
        for name, text in {**HEADERS, **more}.items():
            self.send_header(name, text)
        self.send_header("Content-Type", found.kind)
        self.send_header("Content-Length", str(sum(len(part) for part in found.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            for part in found.body:
                self.wfile.write(part)
