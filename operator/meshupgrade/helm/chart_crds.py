"""The CRDs in a chart archive: those that Helm itself would install with it, and never upgrades.

Source: Helm's documentation, "Custom Resource Definitions" (the folder crds/, of the chart and of its subcharts) and
"Chart.yaml" (dependencies), and its loader (helm.sh/helm/v4/pkg/chart/loader/archive) for the bounds.
"""

import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from meshupgrade.domain.kubernetes_yaml import KubernetesLoader, is_deeper_than
from meshupgrade.oci.documents import CRD, crds_in_files
from meshupgrade.oci.errors import LayerRefused
from meshupgrade.oci.tars import content_of, damage_refused, entries_of, parts_of
from meshupgrade.oci.unpack import Budget, Unpacked

__all__ = ["read_chart_crds"]

MAX_UNPACKED = 100 * 1024 * 1024
MAX_FILE = 5 * 1024 * 1024
"""Bytes. Helm takes no more than this either."""

MAX_KEPT = 32 * 1024 * 1024
"""Bytes of all that is looked at, which is in memory at once."""

MAX_NESTED = 8
"""Archives in archives."""

MAX_DEPTH = 50

_NAME = "the chart's archive"

_Files = dict[tuple[str, ...], bytes]


def read_chart_crds(archive: Path, enabled: Collection[str]) -> list[CRD]:
    """Give the CustomResourceDefinitions in the crds/ folders, sorted by name; none when there are none.

    ``enabled`` are the dependencies that Helm leaves enabled, by alias or name; another one that the chart declares is
    left out. Raises an ImageInvalid for what cannot be read or is beyond the bounds. It blocks: call it in a thread.
    """
    files: _Files = {}
    with archive.open("rb") as packed:
        _read(packed, (), files, Budget(MAX_UNPACKED), MAX_NESTED)
    return crds_in_files({"/".join(path): files[path] for path in _crd_paths(files, enabled)})


def _read(packed: BinaryIO, place: tuple[str, ...], files: _Files, budget: Budget, nested: int) -> None:
    """Put what matters of an archive into the files, under its place in the chart."""
    stream = Unpacked(packed, budget, _NAME)
    with damage_refused(_NAME):
        for archive, member in entries_of(stream, largest=MAX_FILE):
            path = parts_of(member.name)[1:]
            # Links are nothing to Helm, and so they are here.
            if not member.isreg() or not _matters(path):
                continue
            if member.size > MAX_FILE or sum(map(len, files.values())) + member.size > MAX_KEPT:
                raise LayerRefused(f"{member.name[:100]!r} in it is too large; is it a chart?")
            files[place + path] = content_of(archive, member)
    for path in [path for path in files if _is_archive(path)]:
        if not nested:
            raise LayerRefused("its subcharts are nested too deep; is it a chart?")
        _read(io.BytesIO(files.pop(path)), (*path[:-1], path[-1].removesuffix(".tgz")), files, budget, nested - 1)


def _matters(path: tuple[str, ...]) -> bool:
    own = _in_own_chart(path)
    return own[:1] == ("crds",) or own in (("Chart.yaml",), ("requirements.yaml",)) or _is_archive(path)


def _is_archive(path: tuple[str, ...]) -> bool:
    own = _in_own_chart(path)
    return len(own) == 2 and own[0] == "charts" and own[1].endswith(".tgz")


def _in_own_chart(path: tuple[str, ...]) -> tuple[str, ...]:
    """Give the path from the root of the subchart that it is in."""
    while len(path) > 2 and path[0] == "charts":
        path = path[2:]
    return path


def _crd_paths(files: _Files, enabled: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Give the paths of the files in crds/ folders, those of disabled subcharts left out."""
    declared: dict[str, set[str]] = {}
    for file in ("Chart.yaml", "requirements.yaml"):
        for each in _mapping(files.get((file,))).get("dependencies") or ():
            declared.setdefault(each["name"], set()).add(each.get("alias") or each["name"])
    for path in files:
        if path[:1] == ("charts",):
            folder = path[1]
            name = str(_mapping(files.get(("charts", folder, "Chart.yaml"))).get("name") or folder)
            left_out = name in declared and not declared[name] & set(enabled)
            if left_out or folder.startswith(("_", ".")):
                continue
        if _in_own_chart(path)[0] == "crds":
            yield path


def _mapping(content: bytes | None) -> Mapping[str, Any]:
    """Read a Chart.yaml, which Helm has read before."""
    try:
        text = (content or b"").decode()
        if is_deeper_than(text, MAX_DEPTH):
            raise LayerRefused("its Chart.yaml is nested too deep; is it a chart?")
        # Safe: a subclass of the safe loader, with fewer tags.
        read = yaml.load(text, Loader=KubernetesLoader)  # noqa: S506 - see above
    except (yaml.YAMLError, ValueError) as error:
        raise LayerRefused("its Chart.yaml cannot be read; is it a chart?") from error
    return read if isinstance(read, dict) else {}
