"""What changes between two renderings of a release: objects, images, and the workloads whose Pods are replaced."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.plan import ObjectAction, PlannedImage, PlannedObject
from meshupgrade.domain.merge import lookup, same

__all__ = [
    "WORKLOADS",
    "changed_paths",
    "image_changes",
    "object_changes",
    "random_fields",
    "replaced_workloads",
    "told_object",
]

Object = Mapping[str, Any]
Field = tuple[str, str]
"""An object, as it is told, and the path of a field of it."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")

MOST_PATHS = 40
"""Of one object; beyond that a person looks at the manifest."""


def told_object(obj: Object, namespace: str) -> str:
    """Give kind, namespace and name of an object of a release in that namespace.

    Whether a kind has a namespace cannot be told from a manifest: one that names none is told without.
    """
    metadata = obj["metadata"]
    place = metadata.get("namespace") or (namespace if obj["kind"] in _NAMESPACED else "")
    return f"{obj['kind']} {place}/{metadata['name']}" if place else f"{obj['kind']} {metadata['name']}"


_NAMESPACED = frozenset(
    {*WORKLOADS, "ConfigMap", "Secret", "Service", "ServiceAccount", "Role", "RoleBinding", "Job", "CronJob", "Pod"}
    | {"PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "PersistentVolumeClaim"}
)


def object_changes(
    before: Sequence[Object], after: Sequence[Object], namespace: str, *,
    recreated: Collection[str] = (), random: Collection[Field] = (),
) -> list[PlannedObject]:  # fmt: skip
    """Give the objects that change, in the order of their names; fields that are ``random`` do not count."""
    old, new = _by_name(before, namespace), _by_name(after, namespace)
    found = []
    for key in {*old, *new}:
        name = told_object(new[key] if key in new else old[key], namespace)
        if key not in new:
            found.append(PlannedObject(object=name, action=ObjectAction.DELETE))
        elif key not in old:
            found.append(PlannedObject(object=name, action=ObjectAction.CREATE))
        else:
            paths = [path for path in changed_paths(old[key], new[key]) if (name, path) not in random]
            again = key in recreated or name in recreated
            if again or paths:
                action = ObjectAction.RECREATE if again else ObjectAction.UPDATE
                found.append(PlannedObject(object=name, action=action, paths=_some(paths)))
    return sorted(found, key=lambda change: change.object)


def random_fields(one: Sequence[Object], other: Sequence[Object], namespace: str) -> frozenset[Field]:
    """Give the fields in which two renderings of the same chart with the same values differ."""
    first, second = _by_name(one, namespace), _by_name(other, namespace)
    return frozenset(
        (told_object(second[key], namespace), path)
        for key in {*first} & {*second}
        for path in changed_paths(first[key], second[key])
    )


def image_changes(before: Sequence[Object], after: Sequence[Object], namespace: str) -> list[PlannedImage]:
    """Give the containers, init containers included, whose image changes."""
    old, new = _images(before, namespace), _images(after, namespace)
    return [
        PlannedImage(workload=key[0], container=key[1], before=old.get(key, ""), after=new.get(key, ""))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def replaced_workloads(
    before: Sequence[Object], after: Sequence[Object], namespace: str, *,
    recreated: Collection[str] = (), random: Collection[Field] = (),
) -> list[str]:  # fmt: skip
    """Give the workloads whose Pods are replaced, since their template changes or they are recreated."""
    old, new = _by_name(before, namespace), _by_name(after, namespace)
    return [
        name
        for name in sorted({*old} & {*new})
        if new[name]["kind"] in WORKLOADS and (name in recreated or _template_changes(name, old, new, random))
    ]


def _template_changes(
    name: str, old: Mapping[str, Object], new: Mapping[str, Object], random: Collection[Field]
) -> bool:
    before, after = (lookup(objects[name], ("spec", "template")) for objects in (old, new))
    return any((name, path) not in random for path in changed_paths(before, after, "spec.template"))


def changed_paths(before: Any, after: Any, path: str = "") -> list[str]:
    """Give the dotted paths at which two JSON trees differ; items of a list go by their name, where they have one."""
    return list(dict.fromkeys(_changed(before, after, path)))


MORE = "…"


def _some(paths: Sequence[str]) -> list[str]:
    return [*paths[:MOST_PATHS], MORE] if len(paths) > MOST_PATHS else list(paths)


def _changed(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            place = _below(path, str(key))
            if key not in before or key not in after:
                if (before if key in before else after)[key] is not None:
                    yield place
            else:
                yield from _changed(before[key], after[key], place)
    elif isinstance(before, list) and isinstance(after, list):
        by_name = _named(before), _named(after)
        if by_name[0] is not None and by_name[1] is not None:
            yield from _changed_items(by_name[0], by_name[1], lambda name: f"{path}[{name}]")
        else:
            indexed = dict(enumerate(before)), dict(enumerate(after))
            yield from _changed_items(indexed[0], indexed[1], lambda number: f"{path}[{number}]")
    elif not same(before, after):
        yield path


def _below(path: str, key: str) -> str:
    """Give the path of a key; one with dots of its own, as labels have them, stands in quotes."""
    if "." in key or "/" in key:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def _changed_items(before: Mapping[Any, Any], after: Mapping[Any, Any], told: Callable[[Any], str]) -> Iterator[str]:
    for key in sorted({*before, *after}):
        if key not in before or key not in after:
            yield told(key)
        else:
            yield from _changed(before[key], after[key], told(key))


def _named(items: Sequence[Any]) -> dict[str, Any] | None:
    names = [
        item["name"] if isinstance(item, Mapping) and isinstance(item.get("name"), str) else None for item in items
    ]
    if None in names or len(set(names)) != len(names):
        return None
    return dict(zip((str(name) for name in names), items, strict=True))


def _by_name(objects: Sequence[Object], namespace: str) -> dict[str, Object]:
    """Give the objects by kind, namespace and name: one that names no namespace is the one that names the release's."""
    named = ((obj, obj["metadata"].get("namespace") or namespace) for obj in objects)
    return {f"{obj['kind']} {place}/{obj['metadata']['name']}": obj for obj, place in named}


def _images(objects: Sequence[Object], namespace: str) -> dict[tuple[str, str], str]:
    found = {}
    for obj in objects:
        if obj["kind"] in WORKLOADS:
            pod = lookup(obj, ("spec", "template", "spec")) or {}
            for container in [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]:
                found[told_object(obj, namespace), str(container["name"])] = str(container.get("image") or "")
    return found
