"""What is in a chart archive: its own values, read and replaced. Nothing is ever unpacked to a disk."""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from meshupgrade.domain.values_file import parse_values
from meshupgrade.helm.errors import RenderError

__all__ = ["calls_random", "read_defaults", "with_defaults"]

MAX_UNPACKED = 100 * 1024 * 1024
"""Bytes that a chart may take unpacked; Helm's own bound (pkg/chart/loader/archive, MaxDecompressedChartSize)."""

VALUES = "values.yaml"

_RANDOM = re.compile(
    rb"\b(?:rand(?:Alpha|AlphaNum|Ascii|Numeric|Bytes|Int)|uuidv4|gen(?:CA|SelfSignedCert|SignedCert|PrivateKey)\w*"
    rb"|htpasswd|bcrypt|encryptAES|shuffle|now|ago|tpl)\b|\b(?:keys|values)\s+[.$(]"
)
"""Template functions that give something else each time. Source: sprig's documentation, which Helm's templates use.

``keys`` and ``values`` give a dict's in no order; ``tpl`` renders what may call any of them.
"""


def read_defaults(archive: Path) -> dict[str, Any]:
    """Give the values of the chart itself, those of its subcharts not included. Raises RenderError."""
    for member, content in _members(archive):
        if _is_values(member.name):
            return _parse(content)
    return {}


@lru_cache(maxsize=256)
def calls_random(archive: Path) -> bool:
    """Tell whether a template in the archive, or in a subchart of it, may render something else each time.

    A word in a comment counts too: it only costs a second rendering. Raises RenderError.
    """
    return any(
        ("templates/" in member.name and _RANDOM.search(content) is not None) or member.name.endswith(".tgz")
        for member, content in _members(archive)
    )


def with_defaults(archive: Path, defaults: Mapping[str, Any]) -> bytes:
    """Give the archive with other values of the chart itself. Raises RenderError."""
    values = json.dumps(defaults).encode()
    packed = io.BytesIO()
    # Not for keeping: the smallest effort that gzip knows.
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as out:
        root = ""
        for member, content in _members(archive):
            root = root or member.name.partition("/")[0]
            if not _is_values(member.name):
                out.addfile(_entry(member.name, content), io.BytesIO(content))
        out.addfile(_entry(f"{root}/{VALUES}", values), io.BytesIO(values))
    return packed.getvalue()


def _members(archive: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    left = MAX_UNPACKED
    try:
        with tarfile.open(archive, mode="r:gz") as source:
            for member in source:
                left -= member.size
                if left < 0:
                    raise RenderError(f"the chart takes more than {MAX_UNPACKED} bytes")
                file = source.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member, file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise RenderError(f"the chart's archive cannot be read: {type(error).__name__}") from error


def _entry(name: str, content: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    return entry


def _is_values(name: str) -> bool:
    return name.removeprefix("./").split("/")[1:] == [VALUES]


def _parse(content: bytes) -> dict[str, Any]:
    try:
        return parse_values(content.decode())
    except ValueError as error:
        raise RenderError(f"the chart's {VALUES} cannot be read: {error}") from error
