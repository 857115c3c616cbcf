"""The command `edge-sdk`, also `python -m edge_sdk.cli`: handles Ctrl-C before anything is imported
that takes time.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run the command line in sys.argv; its exit status."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from edge_sdk.cli import table

    signal.signal(signal.SIGINT, before)
    return table.main()


def _leave(*_signal: object) -> None:
    """Nothing has begun that would have to be ended."""
    os.write(2, b"error: interrupted\nfix: run the same command again\n")
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
