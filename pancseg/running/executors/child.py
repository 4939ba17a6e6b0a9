"""``python -m pancseg.running.executors.child``: a worker as a separate process.

It reads pickled requests from standard input and writes pickled messages to standard output. What
libraries print goes to standard error. The process ends with its input, or with its parent.
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
from typing import BinaryIO

from pancseg.running.messages import Message, Ready, Refused

_PARENT_DEATH = 1  # Linux: PR_SET_PDEATHSIG


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends its children
    _end_with_parent(os.getppid())
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    plan, threads, verbose = pickle.load(requests)
    try:
        worker = _worker(plan, threads, verbose)
    except (OSError, ValueError) as error:
        _send(
            answers,
            Refused(error.strerror or str(error) if isinstance(error, OSError) else str(error)),
        )
        return
    _send(answers, Ready(worker.network_info))
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        for message in worker.messages(request):
            _send(answers, message)


def _worker(plan, threads: int, verbose: bool):  # type: ignore[no-untyped-def]
    from pancseg.running.worker import Worker
    from pancseg.system.logs import log_to_terminal
    from pancseg.system.threads import limit_threads

    if verbose:
        log_to_terminal()
        faulthandler.enable(os.fdopen(os.dup(2), "w"))  # a copy: readers redirect 2 at times
    worker = Worker(plan)
    limit_threads(threads)  # last, as it limits only libraries that are loaded already
    return worker


def _send(answers: BinaryIO, message: Message) -> None:
    pickle.dump(message, answers)
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
