"""Whether what is freed goes back to the system."""

import ctypes
import subprocess
import sys

PROBE = """
import ctypes
from meshupgrade.cli.memory import keep_memory_small

class Info(ctypes.Structure):  # mallinfo2(3)
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
if {active}:
    keep_memory_small()
# The one that is freed first makes glibc raise its threshold, unless that is set.
bytearray(256 * 1024)
before = libc.mallinfo2().hblks
buffers = [bytearray(256 * 1024) for _ in range(8)]
print(libc.mallinfo2().hblks - before)
"""

CYCLES = """
from pathlib import Path
from meshupgrade.cli.memory import give_back_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

kept, cycles = [], []
for _ in range(5000):
    cycles.append([bytearray(16000)])
    cycles[-1].append(cycles[-1])
    kept.append(bytearray(600))
before = resident()
del cycles
{call}
print((before - resident()) * 4096)
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


def test_what_lies_free_between_other_things_is_given_back() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        return
    freed = {}
    for call in ("", "give_back_memory()"):
        done = subprocess.run(
            [sys.executable, "-c", CYCLES.format(call=call)], check=True, capture_output=True, text=True
        )
        freed[call] = int(done.stdout)
    assert freed["give_back_memory()"] > freed[""] + 20 * 1024 * 1024
