"""Starts an Orthanc of its own: on loopback, on free ports, with a storage that is thrown away."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("Orthanc") or shutil.which("orthanc")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AVAILABLE = bool(PROGRAM and DICOMWEB.exists() and shutil.which("storescu"))
_PATIENCE_S = 300


class Archive:
    """A running Orthanc."""

    def __init__(self, http: int, dicom: int) -> None:
        self.http, self.dicom = http, dicom
        # never by way of a proxy
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, data: bytes | None = None, **headers: str) -> bytes:
        """Ask the REST interface."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data, named)
        with self._opener.open(request, timeout=_PATIENCE_S) as answer:
            return bytes(answer.read())

    def json(self, path: str, query: dict[str, Any] | None = None) -> Any:
        """Ask the REST interface, and read its answer."""
        return json.loads(self.get(path, None if query is None else json.dumps(query).encode()))

    def find(self, level: str, **query: str) -> list[str]:
        """Return Orthanc's ids of what fits a query."""
        found: list[str] = self.json("/tools/find", {"Level": level, "Query": query})
        return found

    def send(self, *files: Path) -> None:
        """Send files by C-STORE."""
        peer = ["-aec", "ORTHANC", "127.0.0.1", str(self.dicom)]
        run(["storescu", "--required", *peer, *map(str, files)])

    def stow(self, file: Path) -> None:
        """Send a file by DICOMweb."""
        head = b"--cut\r\nContent-Type: application/dicom\r\n\r\n"
        kind = 'multipart/related; type="application/dicom"; boundary=cut'
        body = head + file.read_bytes() + b"\r\n--cut--\r\n"
        self.get("/dicom-web/studies", body, Content_Type=kind, Accept="application/dicom+json")

    def unpack(self, path: str, folder: Path) -> None:
        """Fetch an archive of files, and unpack it."""
        zipfile.ZipFile(io.BytesIO(self.get(path))).extractall(folder)


def run(command: list[str]) -> None:
    """Run a program that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def running(folder: Path) -> Iterator[Archive]:
    """Start Orthanc, and stop it at the end of the block."""
    http, dicom = _free_ports(2)
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "TemporaryDirectory": str(folder),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [str(DICOMWEB)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    folder.mkdir(parents=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROGRAM), str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder
        )
        try:
            yield _once_it_answers(Archive(http, dicom), process, folder / "log")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _once_it_answers(archive: Archive, process: subprocess.Popen[bytes], log: Path) -> Archive:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            archive.get("/system")
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return archive
    raise AssertionError(f"Orthanc does not answer: {log.read_text(errors='replace')[-2000:]}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
