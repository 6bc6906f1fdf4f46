"""Whether large buffers go back to the system when they are freed."""

import ctypes
import subprocess
import sys

PROBE = """
import ctypes
from meshupgrade.cli.memory import give_back_memory

class Info(ctypes.Structure):  # mallinfo2(3)
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
if {active}:
    give_back_memory()
# The one that is freed first makes glibc raise its threshold, unless that is set.
bytearray(256 * 1024)
before = libc.mallinfo2().hblks
buffers = [bytearray(256 * 1024) for _ in range(8)]
print(libc.mallinfo2().hblks - before)
"""


def mapped(*, active: bool) -> int:
    """Tell how many of eight buffers are mapped by themselves, so that they go when they are freed."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(active=active)], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def test_buffers_of_connections_are_given_back() -> None:
    if hasattr(ctypes.CDLL(None), "mallinfo2"):
        assert mapped(active=False) == 0
        assert mapped(active=True) == 8
