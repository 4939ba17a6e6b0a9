"""The server answers its own page, and nothing else."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from viewed_output import FOUND, Client, viewing

from pancseg.viewer.policy import HEADERS


@pytest.fixture(scope="module")
def client(viewed: Path) -> Iterator[Client]:
    with viewing(viewed / "out") as opened:
        yield opened


def test_it_listens_on_this_machine_alone(client: Client) -> None:
    assert client.server.server_address[0] == "127.0.0.1"
    assert client.server.url.startswith("http://127.0.0.1:")
    assert len(client.server.token) >= 32


def test_two_servers_have_two_tokens(viewed: Path, client: Client) -> None:
    with viewing(viewed / "out") as other:
        assert other.server.token != client.server.token
        path = f"/{client.server.token}/api/alive"
        assert other.ask("GET", "", whole_path=path).status == 404


@pytest.mark.parametrize(
    "path", ["/", "/api/alive", "/wrong/api/alive", "/{token}", "/{token}x/api/alive"]
)
def test_nothing_is_here_without_the_token(client: Client, path: str) -> None:
    reply = client.ask("GET", "", whole_path=path.format(token=client.server.token))
    assert reply.status == 404
    assert client.server.token not in reply.body.decode()


def test_the_address_that_a_browser_is_opened_with_works_once(viewed: Path) -> None:
    with viewing(viewed / "out") as other:
        path = other.server.url_once.partition(str(other.server.port))[2]
        assert other.ask("GET", "", whole_path="/open/").status == 404
        assert other.ask("GET", "", whole_path=f"{path}x").status == 404
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert other.ask("GET", "", headers=foreign, whole_path=path).status == 403
        reply = other.ask("GET", "", whole_path=path)
        assert (reply.status, reply.body) == (303, b"")
        assert reply.headers["Location"] == f"/{other.server.token}/"
        assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
        for again in (path, "/open/"):
            reply = other.ask("GET", "", whole_path=again)
            assert reply.status == 404
            assert "works once" in reply.json["error"]
            assert other.server.token not in reply.body.decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_other_hosts_and_origins_are_refused(client: Client, headers: dict[str, str]) -> None:
    given = {name: text.format(port=client.server.port) for name, text in headers.items()}
    reply = client.ask("GET", "api/cohort", headers=given)
    assert reply.status == 403
    assert FOUND not in reply.body.decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_own_page_is_answered(client: Client, host: str) -> None:
    own = f"{host}:{client.server.port}"
    headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
    assert client.ask("GET", "api/alive", headers=headers).json["alive"] is True


@pytest.mark.parametrize(
    "path",
    [
        "../features.csv", "static/../../features.csv", "static/..%2f..%2ffeatures.csv",
        "static/__init__.py", "static/", "pictures/../../features.csv", "pictures/nothing.jpg",
        "pictures/..%2F..%2Ffeatures.csv", "pictures//etc/passwd", "api/", "api/nothing",
        "api/row/99", "api/row/-1", "api/row/%30", "api/row/0/1", "features.csv",
    ],
)  # fmt: skip
def test_only_listed_names_are_served(client: Client, path: str) -> None:
    assert client.ask("GET", path).status == 404


def test_pictures_of_rows_are_served(client: Client, viewed: Path) -> None:
    n = client.number(FOUND)
    url = client.get("api/cohort").json["rows"][n]["thumbnail"]
    reply = client.get(url)
    assert reply.headers["Content-Type"] == "image/jpeg"
    picture = viewed / "out" / "report" / "pictures" / f"{FOUND}.thumb.jpg"
    assert reply.body == picture.read_bytes()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "api/alive"), ("GET", "nothing"), ("PUT", "api/mask/0"), ("OPTIONS", "api/alive")],
)
def test_every_answer_has_the_headers(client: Client, method: str, path: str) -> None:
    reply = client.ask(method, path)
    assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
    assert "'unsafe-eval'" not in HEADERS["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    assert client.ask(method, "api/alive").status == 405


@pytest.mark.parametrize(("method", "path"), [("PUT", "api/mask/0"), ("POST", "api/review/0")])
def test_what_a_form_of_another_site_could_send_is_refused(
    client: Client, method: str, path: str
) -> None:
    assert client.ask(method, path, b"{}").status == 403
    assert client.ask(method, path, b"{}", {"X-Pancseg": "0"}).status == 403


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [("PUT", "api/mask/0", 80_000_000), ("POST", "api/review/0", 65_536)],
)
def test_a_body_has_a_limit(client: Client, method: str, path: str, most: int) -> None:
    line = socket.create_connection(("127.0.0.1", client.server.port), timeout=120)
    with line:
        start = f"{method} /{client.server.token}/{path} HTTP/1.1\r\n"
        host = f"Host: 127.0.0.1:{client.server.port}\r\nX-Pancseg: 1\r\n"
        line.sendall(f"{start}{host}Content-Length: {most + 1}\r\n\r\n".encode())
        assert b" 413 " in line.recv(100)  # before any of it is sent


def test_a_body_without_a_length_is_refused(client: Client) -> None:
    headers = {"X-Pancseg": "1", "Transfer-Encoding": "chunked"}
    assert client.ask("PUT", "api/mask/0", b"0\r\n\r\n", headers).status == 411


def test_requests_are_not_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.get("api/alive")
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
    assert client.server.token not in caplog.text
