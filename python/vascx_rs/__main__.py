"""The program `vascx`: `python -m vascx_rs predict --help`."""

import os
import signal
import sys

from ._native import program


def main() -> int:
    """Runs the program with the arguments of this process; its exit code."""
    # The program hears of ^C itself, and Python's own handler would raise at its end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = os.path.basename(sys.argv[0])
    return program(["vascx" if name == "__main__.py" else name, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
