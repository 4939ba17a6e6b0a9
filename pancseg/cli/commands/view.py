"""The command that opens an output folder in a browser: view."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import Masks, Privacy, Verbose, option
from pancseg.cli.parameters import with_options
from pancseg.cli.pseudonyms import read_cases

if TYPE_CHECKING:
    from pancseg.viewer.server import Server

Folder = Annotated[
    Path, typer.Argument(metavar="OUT", help="Output folder of a run.", show_default=False)
]
Scans = Annotated[
    Path | None,
    option(
        "Input",
        metavar="COHORT",
        help="The cohort again, where its scans have moved; default: where the run found them.",
    ),
]
Pseudonymise = Annotated[
    Path | None,
    option(
        "Privacy",
        metavar="KEYFILE",
        help="With --scans: the key of the run, where the ids in OUT are pseudonyms.",
    ),
]
NoBrowser = Annotated[
    bool, option("Running", "--no-browser", help="Print the page's address and open no browser.")
]
Port = Annotated[
    int, option("Running", min=0, max=65535, help="Port on this machine; 0: any that is free.")
]


def view(
    *,
    out: Folder,
    scans: Scans = None,
    masks: Masks = None,
    no_browser: NoBrowser = False,
    port: Port = 0,
    verbose: Verbose = False,
    pseudonymise: Pseudonymise = None,
) -> None:
    """Look at every mask of OUT in a browser, accept, reject or correct it.

    The page is on this machine alone, until Ctrl-C. The next run measures corrected masks.
    """
    with usage_errors(verbose):
        if not out.is_dir():
            raise ValueError("the output folder does not exist; give the folder of a run's output")
        for name, given in (("--masks", masks), ("--pseudonymise", pseudonymise)):
            if given and not scans:
                raise ValueError(f"{name} needs --scans; give both or neither")
        from pancseg.viewer.viewing import opened

        privacy = Privacy(pseudonymise)
        cases = read_cases(scans, out, masks, privacy) if scans else None
        words = partial(with_options, shown="`{}`")
        with opened(out, cases, port=port, words=words) as server:
            _serve(server, no_browser)


def _serve(server: Server, no_browser: bool) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" has it ignored
    session = server.session
    for line in (*session.table.problems, session.whereabouts.advice, session.read_only):
        if line:
            say(f"pancseg: {line}", sys.stderr)
    say(f"page: {server.url}", sys.stdout)
    Thread(target=session.read_first, daemon=True).start()
    try:
        _open(server, no_browser)
        say("Ctrl-C stops the viewer", sys.stdout)
        server.serve_forever()
    except KeyboardInterrupt:
        say(session.account, sys.stdout)


def _open(server: Server, no_browser: bool) -> None:
    """Open the browser, or say how to reach the page from another machine."""
    has_screen = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if no_browser:
        return
    if not (has_screen and webbrowser.open(server.url_once)):
        port = server.port
        say(
            "no browser could be opened here; open the address above. On another machine, first "
            f"run there: ssh -N -L {port}:127.0.0.1:{port} THIS-MACHINE",
            sys.stdout,
        )
