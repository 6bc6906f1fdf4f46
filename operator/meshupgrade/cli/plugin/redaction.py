"""What a report may show of objects: fields that are listed here, and never a value that a user wrote into a chart.

Secrets are in values, environment variables, annotations and the last words of containers; none of it is copied. What
is copied is free of the texts of spec.values as well, since a message may quote one.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from meshupgrade.api.v1alpha1.names import GROUP
from meshupgrade.api.v1alpha1.plan import Plan
from meshupgrade.domain.secrets import Secrets, texts

__all__ = [
    "event_facts",
    "images",
    "plan_facts",
    "pod_facts",
    "revision_facts",
    "scrub",
    "upgrade_facts",
    "workload_facts",
]

Object = Mapping[str, Any]

OWNER = "report"


def upgrade_facts(obj: Object) -> dict[str, Any]:
    """Give a MeshUpgrade without values: in free fields the type stands for each leaf, but for true and false."""
    metadata, spec = obj["metadata"], dict(obj.get("spec") or {})
    if "values" in spec:
        spec["values"] = _types(spec["values"])
    if patch := (spec.get("meshConfig") or {}).get("patch"):
        spec["meshConfig"] = {**spec["meshConfig"], "patch": _types(patch)}
    if repository := (spec.get("chart") or {}).get("repository"):
        # A query may hold a token.
        spec["chart"] = {
            **spec["chart"],
            "repository": urlsplit(str(repository))._replace(query="", fragment="").geturl(),
        }
    annotations = metadata.get("annotations") or {}
    kept = (
        "name",
        "namespace",
        "uid",
        "generation",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "finalizers",
    )
    return {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "metadata": _picked(metadata, *kept)
        | {
            "annotations": {
                key: value if key.startswith(f"{GROUP}/") else "<string>"
                for key, value in annotations.items()
                if key != "kubectl.kubernetes.io/last-applied-configuration"
            }
        },
        "spec": spec,
        "status": obj.get("status") or {},
    }


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Give the whole plan without what values are and were."""
    content = plan.model_dump(mode="json", by_alias=True, exclude_none=True)
    for value in [
        *content.get("meshConfig", []),
        *(value for hop in content["hops"] for value in hop.get("values", [])),
    ]:
        value.pop("before", None)
        value.pop("after", None)
    return content


def revision_facts(secret: Object) -> dict[str, Any]:
    """Give what the labels of a stored Helm revision say; its content is never read."""
    return {"name": secret["metadata"]["name"], **_picked(secret["metadata"], "creationTimestamp", "labels")}


def workload_facts(obj: Object) -> dict[str, Any]:
    """Give a Deployment, StatefulSet or DaemonSet: counts, images, conditions."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    counts = {key: value for key, value in status.items() if isinstance(value, int)}
    return {
        **_named(obj),
        "replicas": spec.get("replicas"),
        **_containers(pod),
        "status": counts | {"conditions": _conditions(status)},
    }


def pod_facts(obj: Object) -> dict[str, Any]:
    """Give a Pod: images, and how its containers are. Last words of a container may be its log, and are left out."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    containers = [
        {**_picked(item, "name", "image", "imageID", "ready", "restartCount", "started"), **_run_states(item)}
        for key in ("initContainerStatuses", "containerStatuses")
        for item in status.get(key) or []
    ]
    return {
        **_named(obj),
        **_picked(spec, "nodeName", "serviceAccountName", "priorityClassName"),
        **_containers(spec),
        "status": _picked(status, "phase", "reason", "message", "qosClass", "startTime")
        | {"conditions": _conditions(status), "containers": containers},
    }


def event_facts(obj: Object) -> dict[str, Any]:
    """Give an Event of the core API."""
    about = _picked(obj.get("involvedObject") or {}, "kind", "namespace", "name", "fieldPath")
    times = ("firstTimestamp", "lastTimestamp", "eventTime")
    return {"about": about, **_picked(obj, "type", "reason", "message", "count", *times)}


def images(tree: Any) -> Iterator[str]:
    """Yield what stands under image in a tree of facts; a report shows it anyway."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key in ("image", "imageID") and isinstance(value, str):
                yield value
            else:
                yield from images(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from images(item)


def scrub(tree: Any, obj: Object) -> Any:
    """Give a tree with the texts of the MeshUpgrade's own values and patch masked, wherever they are quoted.

    What is part of an image or of a name is left: without it the report would tell nothing, and it is no secret.
    """
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    written = {*texts(spec.get("values") or {}), *texts((spec.get("meshConfig") or {}).get("patch") or {})}
    names = [metadata["name"], metadata["namespace"], str(spec.get("version")), *texts(spec.get("mesh") or {})]
    shown = " ".join([*images(tree), *names])
    secrets = Secrets()
    secrets.keep(OWNER, written, {text for text in written if text in shown})
    return secrets.scrub_all(tree)


def _types(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _types(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_types(item) for item in tree]
    if tree is None or isinstance(tree, bool):
        return tree
    return "<number>" if isinstance(tree, int | float) else "<string>"


def _picked(obj: Object, *keys: str) -> dict[str, Any]:
    return {key: obj[key] for key in keys if key in obj}


def _named(obj: Object) -> dict[str, Any]:
    metadata = obj["metadata"]
    owners = [_picked(owner, "kind", "name") for owner in metadata.get("ownerReferences") or []]
    named = _picked(metadata, "name", "namespace", "generation", "creationTimestamp", "deletionTimestamp", "labels")
    return {"kind": obj.get("kind"), **named, "owners": owners}


def _containers(pod: Object) -> dict[str, Any]:
    keys = ("initContainers", "containers")
    return {key: [_picked(item, "name", "image", "resources") for item in pod.get(key) or []] for key in keys}


def _conditions(status: Object) -> list[dict[str, Any]]:
    keys = ("type", "status", "reason", "message", "lastTransitionTime")
    return [_picked(condition, *keys) for condition in status.get("conditions") or []]


def _run_states(container: Object) -> dict[str, Any]:
    shown = ("reason", "exitCode", "signal", "startedAt", "finishedAt")
    return {
        key: {name: _picked(state or {}, *shown) for name, state in (container.get(key) or {}).items()}
        for key in ("state", "lastState")
        if container.get(key)
    }
