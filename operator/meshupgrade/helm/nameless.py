"""Files without a name, for what only a child process, or a library that knows but files, may read.

The kernel takes them away with the last process that has them open, so that a crash leaves nothing behind.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["nameless_file", "path_of"]


@contextmanager
def nameless_file(content: bytes, folder: Path | None = None) -> Iterator[int]:
    """Give the descriptor of a file with that content, readable by us alone; a child gets it by ``pass_fds``."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield file.fileno()


def path_of(descriptor: int) -> str:
    """Give the path under which a process that has the descriptor opens the file."""
    return f"/dev/fd/{descriptor}"
