"""The program ``pancseg``, which ``python -m pancseg`` starts, too.

Started with ``-m``, Python searches the working folder first. From here on it is left out; with
``pancseg`` and ``python -P -m pancseg`` it is so from the beginning.
"""

import sys

_ROOT = __file__.rpartition("pancseg")[0].rstrip("/\\")
if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != _ROOT:
    del sys.path[0]  # before anything else is imported, even from the standard library


def main() -> None:
    """Run the command line, and end the process."""
    try:
        _run()
    except KeyboardInterrupt:  # while it imports; commands say what is kept
        sys.exit(130)


def _run() -> None:
    import gc

    from pancseg.system.processes.python_child import leave_working_folder_out
    from pancseg.system.processes.standard_streams import open_standard_streams

    open_standard_streams()
    leave_working_folder_out()
    from pancseg.cli import app
    from pancseg.cli.failures import run_program

    try:
        run_program(app)
    finally:
        gc.freeze()  # searching what is left for cycles would take up to 0.3 s, for nothing


if __name__ == "__main__":
    main()
