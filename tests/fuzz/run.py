"""Fuzz one target with atheris: ``python tests/fuzz/run.py TARGET SECONDS FOLDER``.

``FOLDER`` keeps the corpus of each target, which grows from run to run, and beside it the inputs
that crashed a reader, took longer than a minute or more than 3 GB. Without arguments, it prints the
targets.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(name: str, seconds: int, folder: Path) -> None:
    """Fuzz a target; the process ends with the first fault, or after the time."""
    import atheris

    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, HERE / "seeds.py", name, corpus], check=True)
    with atheris.instrument_imports(include=["pancseg", "yaml", "pydicom"]):
        from targets import TARGETS, attempt

        target = TARGETS[name]
        attempt(target, (corpus / "seed0").read_bytes())
    options = [f"-max_total_time={seconds}", "-timeout=60", "-rss_limit_mb=3000", "-max_len=65536"]
    options += [f"-artifact_prefix={folder}/{name}-", "-print_final_stats=1", "-verbosity=0"]

    def one(content: bytes) -> None:
        attempt(target, content)

    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "robustness")]
    if len(sys.argv) == 4:
        main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    else:
        from targets import TARGETS

        print(*TARGETS, sep="\n")
