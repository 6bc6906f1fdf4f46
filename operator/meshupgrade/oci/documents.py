"""CRDs out of YAML files, read as Kubernetes reads them, and safely.

PyYAML's safe loader is safe from code but not from size: its C half recurses on nesting until the process dies, and
aliases and merge keys multiply without bound. And it reads YAML 1.1 further than Kubernetes does: dates and times of
day become objects and numbers, and a bare ``=``, which real CRDs have in an enum, is an error. Each is dealt with here.
"""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from meshupgrade.domain.kubernetes_yaml import KubernetesLoader
from meshupgrade.oci.errors import ImageInvalid

__all__ = ["CRD", "crds_in_files", "crds_in_texts"]

CRD = dict[str, Any]

_SUFFIXES = (".yaml", ".yml", ".json")
_API_VERSION, _API_GROUP, _KIND = "apiextensions.k8s.io/v1", "apiextensions.k8s.io/", "CustomResourceDefinition"

#: A schema takes two levels a field, three a list of objects; nobody nests fifty of those.
MAX_DEPTH = 200
#: Scalars, lists and mappings of one image, aliases written out: about 200 MB in memory, for a moment.
MAX_NODES = 1_000_000

_MERGE_TAG = "tag:yaml.org,2002:merge"


def crds_in_files(files: Mapping[str, bytes]) -> list[CRD]:
    """Give the CustomResourceDefinitions in those of the files that are YAML or JSON by their names.

    See crds_in_texts, which raises ImageInvalid.
    """
    return crds_in_texts({file: content for file, content in files.items() if file.lower().endswith(_SUFFIXES)})


def crds_in_texts(texts: Mapping[str, bytes]) -> list[CRD]:
    """Give the CustomResourceDefinitions in texts in YAML, sorted by name; other documents are left out.

    A CRD that is there twice, with the same content, is given once. Nothing in what is given is shared. Raises
    ImageInvalid, naming the text, for what cannot be read or is no complete CRD, and for two CRDs of one name.
    """
    copier = _Copier()
    found: dict[str, tuple[str, CRD]] = {}
    for file, content in sorted(texts.items()):
        for document in _documents(file, content):
            if not isinstance(document, dict) or not _is_crd(document):
                continue
            crd = copier.copy_crd(file, document)
            name = _checked_name(file, crd)
            first_file, first = found.setdefault(name, (file, crd))
            if first != crd:
                raise ImageInvalid(f"CRD {name} is in {first_file} and, different, in {file}; leave one of them")
    return [crd for _, (_, crd) in sorted(found.items())]


def _documents(file: str, content: bytes) -> list[object]:
    try:
        text = content.decode("utf-8-sig")
        _check_shape(file, text)
        # Safe: a subclass of the safe loader, with fewer tags.
        return list(yaml.load_all(text, Loader=KubernetesLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ImageInvalid(f"{file} is not YAML that can be read{_place(error)}; correct it") from error


def _place(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f" (line {mark.line + 1})" if mark else ""


def _check_shape(file: str, text: str) -> None:
    """Refuse what would hurt the loader, by events, which take no memory and no stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and _is_merge(event):
            raise ImageInvalid(f"{file} uses YAML merge keys (<<), which are not read; write the fields out")
        if depth > MAX_DEPTH:
            raise ImageInvalid(f"{file} is nested deeper than {MAX_DEPTH} levels; is it a CRD?")


def _is_merge(event: yaml.ScalarEvent) -> bool:
    return event.tag == _MERGE_TAG or (event.value == "<<" and event.implicit[0])


def _is_crd(document: Mapping[object, object]) -> bool:
    return document.get("kind") == _KIND and str(document.get("apiVersion", "")).startswith(_API_GROUP)


class _Copier:
    """Copies documents into what JSON can say: aliases written out, counted over the whole image."""

    def __init__(self) -> None:
        self._nodes = 0
        self._file = ""

    def copy_crd(self, file: str, document: Mapping[object, object]) -> CRD:
        """Give a copy that shares nothing; raises ImageInvalid when it is too large, or not JSON."""
        self._file = file
        return {self._key(key): self._copy(value, 1) for key, value in document.items()}

    def _copy(self, value: object, depth: int) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ImageInvalid(f"{self._file} grows too large with its YAML aliases written out; write it without")
        if isinstance(value, dict):
            return {self._key(key): self._copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, depth + 1) for item in value]
        if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        raise ImageInvalid(f"{self._file} has a value that JSON cannot say ({type(value).__name__}); put it in quotes")

    def _key(self, key: object) -> str:
        # As Kubernetes' reader does: a field called "on" or "1" without quotes keeps its name as far as it is known.
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, str | int):
            return str(key)
        raise ImageInvalid(f"{self._file} has a key that is no string ({type(key).__name__}); put it in quotes")


def _checked_name(file: str, crd: CRD) -> str:
    """Give the name of a CRD that has all that others rely on; the rest is for the API server to judge."""
    if crd["apiVersion"] != _API_VERSION:
        raise ImageInvalid(f"{file} has a CRD in {crd['apiVersion']}; Kubernetes takes {_API_VERSION} only")
    metadata, spec = crd.get("metadata"), crd.get("spec")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise ImageInvalid(f"{file} has a CRD without metadata.name")
    if not isinstance(spec, dict) or not isinstance(spec.get("group"), str) or not isinstance(spec.get("names"), dict):
        raise ImageInvalid(f"{file}: CRD {name} lacks spec.group or spec.names")
    if not _are_versions(spec.get("versions")):
        raise ImageInvalid(f"{file}: CRD {name} has no spec.versions, each with a name")
    return name


def _are_versions(versions: object) -> bool:
    return (
        isinstance(versions, list)
        and bool(versions)
        and all(isinstance(version, dict) and isinstance(version.get("name"), str) for version in versions)
    )
