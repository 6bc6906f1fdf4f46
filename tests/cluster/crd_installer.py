"""Bring CRDs into the cluster in the way of a mesh's own bootstrap program."""

import copy
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from .api import Api, ApiError
from .bootstrap_facts import Mode
from .cluster import Cluster

__all__ = [
    "CRDS",
    "LAST_APPLIED",
    "CrdsRefused",
    "ReconcileLabel",
    "create_or_update",
    "kubectl_apply",
    "merged_versions",
    "parse",
    "wait_until_served",
]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ESTABLISHED_SECONDS = 5.0
POLL_SECONDS = 0.05

Crd = dict[str, Any]


class ReconcileLabel(NamedTuple):
    """The label that a release's reconciler looks for, with the value that it puts on its CRDs."""

    key: str
    value: str


class CrdsRefused(Exception):
    """The API server has refused a CRD; the message names it and says why."""


def parse(files: Mapping[str, bytes]) -> list[Crd]:
    """The CRDs in some YAML files, in the order of the files' names."""
    documents = (one for name in sorted(files) if name.endswith(".yaml") for one in yaml.safe_load_all(files[name]))
    return [one for one in documents if one and one.get("kind") == "CustomResourceDefinition"]


def create_or_update(api: Api, crds: Iterable[Crd], mode: Mode, label: ReconcileLabel, manager: str) -> Iterator[str]:
    """Create each CRD, or change the existing one by a plain Update of field manager `manager`.

    Gives a line for each one as it is done. As in the real programs the first refusal ends it, and what was done
    before stays. Raises CrdsRefused.
    """
    for source in crds:
        name = source["metadata"]["name"]
        try:
            existing = api.find(f"{CRDS}/{name}")
            if existing is None:
                api.create(CRDS, _new(source, label), fieldManager=manager)
                yield f"{name} created"
            else:
                api.update(f"{CRDS}/{name}", _changed(existing, source, mode, label), fieldManager=manager)
                yield f"{name} {mode.value}d"
        except ApiError as error:
            raise CrdsRefused(f"CRD {name}: {error}") from error


def _new(source: Crd, label: ReconcileLabel) -> Crd:
    crd = copy.deepcopy(source)
    crd["metadata"].setdefault("labels", {})[label.key] = label.value
    crd["metadata"].setdefault("annotations", {})[LAST_APPLIED] = json.dumps(crd)
    return crd


def _changed(existing: Crd, source: Crd, mode: Mode, label: ReconcileLabel) -> Crd:
    versions = source["spec"]["versions"]
    if mode is Mode.MERGE:
        versions = merged_versions(existing["spec"]["versions"], versions)
    existing["metadata"].setdefault("labels", {})[label.key] = label.value
    existing["spec"] = {**source["spec"], "versions": versions, "conversion": {"strategy": "None"}}
    return existing


def merged_versions(existing: Iterable[Crd], new: Iterable[Crd]) -> list[Crd]:
    """The versions of the new CRD, then those that only the existing one has: still served, no longer stored."""
    kept = [copy.deepcopy(version) for version in new]
    names = {version["name"] for version in kept}
    return kept + [{**version, "storage": False} for version in existing if version["name"] not in names]


def kubectl_apply(cluster: Cluster, crds: Iterable[Crd], label: ReconcileLabel) -> list[str]:
    """Apply the CRDs as the init container of older releases does; kubectl's own lines. Raises CrdsRefused."""
    text = yaml.safe_dump_all(crds)
    applied = cluster.kubectl("apply", "--filename=-", input=text, check=False)
    last = applied
    if label.value == "true":
        # The release's shell joins the two with a semicolon, so that only the second one decides about success.
        last = cluster.kubectl(
            "label", "--overwrite", "--filename=-", f"{label.key}={label.value}", input=text, check=False
        )
    if last.returncode != 0:
        raise CrdsRefused(last.stderr.strip())
    return applied.stdout.splitlines()


def wait_until_served(api: Api, name: str) -> Crd | None:
    """The CRD of that name once its resources are served, None when that does not happen within some seconds."""
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while time.monotonic() < deadline:
        crd = api.find(f"{CRDS}/{name}")
        conditions = (crd or {}).get("status", {}).get("conditions") or ()
        if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
            return crd
        time.sleep(POLL_SECONDS)
    return None
