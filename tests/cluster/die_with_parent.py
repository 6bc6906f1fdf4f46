"""Become another program that is killed as soon as the process that asked for it is gone.

Run as ``python die_with_parent.py PARENT_PID PROGRAM ARGS…``. It is a program of its own, not a ``preexec_fn``,
because code between fork and exec can deadlock in a process with threads, and a test process has them.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arm the parent-death signal, then turn into the program; exits 1 when the parent has died before that."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The parent may have died before the signal was armed; then nobody will ever send it.
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
