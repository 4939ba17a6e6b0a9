"""``python -m pancseg.running.executors.child``: a worker as a separate process.

It reads pickled requests from standard input and writes pickled messages to standard output. What
libraries print goes to standard error. The process ends with its input, or with its parent. It is
started without the working folder on its import path (``system/processes/python_child.py``).
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

from pancseg.running.messages import Message, Ready, Refused
from pancseg.system.processes.build import own_build
from pancseg.system.processes.memory_limit import MemoryLimit

_PARENT_DEATH = 1  # Linux: PR_SET_PDEATHSIG


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends its children
    _end_with_parent(os.getppid())
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(MemoryError, OSError, ValueError):  # raised again below, and reported there
        import pancseg.running.worker  # noqa: F401  while the plan is not known yet
    try:
        plan, threads, verbose = pickle.load(requests)
    except EOFError:  # it was not needed
        return
    try:
        worker = _worker(plan, threads, verbose)
    except MemoryError:
        _send(answers, Refused("a worker process ran out of memory; lower `workers`"))
        return
    except (OSError, ValueError) as error:
        _send(
            answers,
            Refused(error.strerror or str(error) if isinstance(error, OSError) else str(error)),
        )
        return
    _send(answers, Ready(worker.network_info, own_build()))
    limit, on_gpu = MemoryLimit(threads), _on_gpu(worker.network_info)
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        limit.allow(0 if on_gpu else request.most_bytes)
        for message in worker.messages(request, partial(_send, answers)):
            _send(answers, message)


def _worker(plan, threads: int, verbose: bool):  # type: ignore[no-untyped-def]
    from pancseg.running.worker import Worker
    from pancseg.system.logs import log_to_terminal
    from pancseg.system.threads import environment, limit_threads

    os.environ.update(environment(threads))  # for libraries that are loaded later

    if verbose:
        log_to_terminal()
        faulthandler.enable(os.fdopen(os.dup(2), "w"))  # a copy: readers redirect 2 at times
    worker = Worker(plan)
    limit_threads(threads)  # those that are loaded already
    return worker


def _on_gpu(network_info: dict[str, Any]) -> bool:
    """Return whether the network runs on a GPU, whose driver maps an unknown amount of memory."""
    return bool(network_info) and network_info["inference"]["engine"] == "cuda"


def _send(answers: BinaryIO, message: Message) -> None:
    answers.write(pickle.dumps(message))
    answers.flush()


def _end_with_parent(parent: int) -> None:
    """End this process when its parent is killed; otherwise it would write into the next run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if hasattr(os, "getppid"):
        threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
