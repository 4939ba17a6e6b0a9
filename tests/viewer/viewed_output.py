"""Output folders for the tests of the viewer, and a client that asks as the page does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from small_cohort import SETTINGS

import pancseg
from pancseg import RunOptions, read_scan, run_cohort, write_scan
from pancseg.phantom import make_phantom
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.viewer.server import Server
from pancseg.viewer.viewing import opened

FOUND, EMPTY, GIVEN = "found", "empty", "given"
"""Patients: the network finds a pancreas; it finds none; the mask is given, with labels 1 and 2."""
HERE = RunOptions(workers=0)


def make_scans(folder: Path) -> Path:
    """Write three scans and a manifest: ``found``, ``empty``, and ``given`` with two rows."""
    for seed, name in enumerate((FOUND, EMPTY, GIVEN)):
        phantom = make_phantom(seed, size=(96, 96, 12), spacing_mm=(3.6, 3.6, 15.0))
        scan = phantom.image
        if name == EMPTY:  # all tissue is fat
            voxels = voxel_array(scan)
            scan = image_like(np.where(voxels > -200, -100, voxels).astype(np.int16), scan)
        if name == GIVEN:
            labels = sitk.GetArrayFromImage(phantom.mask != 0).astype(np.uint8)
            z, y, x = (int(n) for n in np.argwhere(labels)[len(np.argwhere(labels)) // 2])
            labels[z, y - 1 : y + 2, x - 1 : x + 2] = 2
            write_scan(image_like(labels, scan), folder / "given_mask.nrrd")
        write_scan(scan, folder / f"{name}.nii.gz")
    (folder / "quick.yaml").write_text(SETTINGS)
    manifest = folder / "cohort.csv"
    manifest.write_text(
        "patient_id,image,mask,roi,mask_label\n"
        f"{FOUND},{FOUND}.nii.gz,,,\n{EMPTY},{EMPTY}.nii.gz,,,\n"
        f"{GIVEN},{GIVEN}.nii.gz,given_mask.nrrd,,1\n"
        f"{GIVEN},{GIVEN}.nii.gz,given_mask.nrrd,tumour,2\n"
        f'{GIVEN},{GIVEN}.nii.gz,given_mask.nrrd,whole,"1,2"\n'
    )
    return manifest


def run(manifest: Path, out: Path) -> list[pancseg.CaseResult]:
    """Run as ``pancseg run`` does, in this process."""
    settings = manifest.parent / "quick.yaml"
    return run_cohort(manifest, out, weights="monet_phantom", settings=settings, options=HERE)


@dataclass
class Reply:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a server as the page does, unless a test changes a header."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        *,
        whole_path: str | None = None,
    ) -> Reply:
        line = HTTPConnection("127.0.0.1", self.server.port, timeout=300)
        try:
            line.request(method, whole_path or f"/{self.server.token}/{path}", body, dict(headers))
            answer = line.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            line.close()

    def get(self, path: str, status: int = 200) -> Reply:
        reply = self.ask("GET", path)
        assert reply.status == status, reply.body
        return reply

    def number(self, patient: str, roi: str = "pancreas") -> int:
        rows = self.get("api/cohort").json["rows"]
        (n,) = (row["n"] for row in rows if row["id"][0] == patient and row["id"][2] == roi)
        return int(n)

    def voxels(self, path: str, folder: Path) -> NDArray[Any]:
        """Read a volume that the server sends, with the library."""
        file = folder / "sent.nii"
        file.write_bytes(self.get(path).body)
        return sitk.GetArrayFromImage(read_scan(file))

    def scan_key(self, n: int | str) -> str:
        """Return the key of a row's scan as the page has it; empty without a scan."""
        scan = self.get(f"api/row/{n}").json["scan"]
        return str(scan["key"]) if scan else ""

    def put(
        self, path: str, voxels: NDArray[Any], seen: str, headers: Mapping[str, str] = {}
    ) -> Reply:
        number = path.rpartition("/")[2].partition("?")[0]
        own = {"X-Pancseg": "1", "If-Match": f'"{seen}"', **headers}
        if "X-Pancseg-Scan" not in own:
            own["X-Pancseg-Scan"] = self.scan_key(number)
        return self.ask("PUT", path, voxels.astype(np.uint8).tobytes(), own)

    def post(self, path: str, content: Any) -> Reply:
        return self.ask("POST", path, json.dumps(content).encode(), {"X-Pancseg": "1"})


def limit_voxels(client: Client, most: int) -> None:
    """Let the server send parts of the test's scans, as of a scan of 1,000 slices."""
    client.server.session.whole_voxels = client.server.session.most_voxels = most


@contextmanager
def viewing(out: Path, *args: Any, **options: Any) -> Iterator[Client]:
    """Open a viewer on an output folder for the block."""
    with opened(out, *args, **options) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Client(server)
        finally:
            server.shutdown()
            thread.join()
