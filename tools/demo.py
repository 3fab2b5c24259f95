"""``make demo``: run the broker's demo in the foreground, and let Ctrl-C be an ordinary end.

Decides who hears Ctrl-C. At a terminal the demo gets a process group of its own, as in a shell with
job control: make does not hear the interrupt and has nothing to complain about. Invariant: an end by
SIGINT or SIGTERM is exit code 0, any other end keeps its code. Refuses to outlive the demo.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

BIN = Path(sys.executable).parent


def main() -> int:
    argv = [str(BIN / "twistd"), "-n", "--pidfile=", "sslbroker", "--demo", *sys.argv[1:]]
    try:
        terminal: int | None = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        terminal = None  # not at a terminal: whoever started this signals by pid
    ours = os.getpgrp()
    if terminal is not None and os.tcgetpgrp(terminal) != ours:
        os.close(terminal)
        terminal = None  # in the background of a terminal: do not take it
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # tcsetpgrp from a background group raises it
    child = subprocess.Popen(argv, process_group=0 if terminal is not None else None)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGINT, pass_on)
    signal.signal(signal.SIGTERM, pass_on)
    if terminal is not None:
        os.tcsetpgrp(terminal, child.pid)
    try:
        code = child.wait()
    finally:
        if terminal is not None:
            os.tcsetpgrp(terminal, ours)
    return 0 if code in (-signal.SIGINT, -signal.SIGTERM) else code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
