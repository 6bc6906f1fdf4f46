"""What the spec of a MeshUpgrade sets in a MeshConfig by name, over what is there."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.domain.injection import driver_in_use
from meshupgrade.domain.merge import lookup, merge_patch, same, with_value
from meshupgrade.domain.structural_schema import Schema, inner_schema, prune, with_defaults
from meshupgrade.domain.three_way import MISSING, Difference, Path, name_of

__all__ = ["ImageFields", "as_made", "as_stored", "clash", "is_set_by", "missing", "opened", "patched", "with_image"]

Spec = Mapping[str, Any]

ZEROS: Mapping[str, Any] = {"boolean": False, "integer": 0, "number": 0, "string": "", "array": [], "object": {}}
"""What stands in a field that nobody set, by its type."""


@dataclass(frozen=True)
class ImageFields:
    """The fields of a MeshConfig that name the sidecar's image."""

    path: Path
    drivers: Path = ()
    """The list of sidecars of several kinds; empty where there is none."""

    name: str = ""
    image: str = ""
    """The keys of an entry with its name and its image."""

    kind: Path = ()
    """The field that says which entry is in use."""

    def in_use(self, spec: Spec) -> Spec:
        """Give the entry of the list that is in use; empty when there is no list, or it has none such."""
        return driver_in_use(spec, self.drivers, self.name, self.kind) if self.drivers else {}


def with_image(spec: Spec, image: str, fields: ImageFields) -> dict[str, Any]:
    """Give the spec with the image of the sidecar set, and all else of it as it is."""
    changed = with_value(spec, fields.path, image)
    if used := fields.in_use(spec):
        drivers = [
            {**driver, fields.image: image} if driver is used else driver for driver in lookup(spec, fields.drivers)
        ]
        changed = with_value(changed, fields.drivers, drivers)
    return changed


def patched(spec: Spec, patch: Spec, image: str | None, fields: ImageFields) -> dict[str, Any]:
    """Give the spec with the patch applied, and then the image of the sidecar."""
    changed: dict[str, Any] = merge_patch(spec, patch)
    return with_image(changed, image, fields) if image else changed


def clash(spec: Spec, patch: Spec, image: str, fields: ImageFields) -> str | None:
    """Give the field of the patch that says another image than ``image``; None when there is none."""
    own = lookup(patch, fields.path, MISSING)
    if own is not MISSING and own != image:
        return ".".join(fields.path)
    listed = lookup(patch, fields.drivers, MISSING) if fields.drivers else MISSING
    if listed is MISSING:
        return None
    other = fields.in_use(merge_patch(spec, patch)).get(fields.image)
    return ".".join(fields.drivers) if other and other != image else None


def is_set_by(path: Path, patch: Spec, image: str | None, fields: ImageFields) -> bool:
    """Tell whether the spec says itself what is to be at a path, so that nobody has to be told of it."""
    node: Any = patch
    for step in path:
        if not isinstance(node, Mapping):
            return True
        if step not in node:
            break
        node = node[step]
    else:
        return True
    driver = (*fields.drivers, fields.image)
    own = path == fields.path or (bool(fields.drivers) and (*path[: len(fields.drivers)], path[-1]) == driver)
    return image is not None and own


def opened(before: Spec, after: Spec, guards: Sequence[Path]) -> list[Difference]:
    """Give the switches that become true: false, like none at all, guards the traffic."""
    found = [(path, lookup(before, path, MISSING), lookup(after, path, MISSING)) for path in guards]
    return [Difference(path, old, old, new) for path, old, new in found if new is True and old is not True]


def as_stored(spec: Spec, schema: Schema) -> dict[str, Any]:
    """Give the spec as the API server keeps it under the schema of a MeshConfig: pruned, and with the defaults."""
    stored = with_defaults(prune({"spec": spec}, schema), schema)
    kept: dict[str, Any] = stored.get("spec") or {}
    return kept


def as_made(preset: Spec, schema: Schema, like: Any = MISSING) -> dict[str, Any]:
    """Give the spec that a bootstrap makes of a preset, and the API server keeps.

    The bootstraps read the preset into types of Go and write these, with false, 0, "" or nothing in every field that a
    preset leaves out and that the schema requires: fsm's presets leave some out. Of the preset of an older release,
    whose types had fewer fields, only those count that are in ``like``, which was made of it. Source:
    buildDefaultMeshConfig of the bootstraps, and what "omitempty" means to encoding/json and the generator of CRDs.
    """
    known = MISSING if like is MISSING else {"spec": like}
    return as_stored(_filled({"spec": as_stored(preset, schema)}, schema, known)["spec"], schema)


def _filled(value: Any, schema: Schema | None, like: Any) -> Any:
    if schema is None:
        return value
    if isinstance(value, list):
        others = like if isinstance(like, list) else []
        name = name_of(value, others)
        known = {item[name]: item for item in others} if name else {}
        return [
            _filled(item, schema.get("items"), known.get(item[name], MISSING) if name else MISSING) for item in value
        ]
    if not isinstance(value, Mapping):
        return value
    there: Mapping[str, Any] = like if isinstance(like, Mapping) else {}
    filled = {key: _filled(child, inner_schema(schema, key), there.get(key, MISSING)) for key, child in value.items()}
    for key in schema.get("required") or ():
        inner = inner_schema(schema, key) or {}
        left_out = key not in filled and inner.get("type") in ZEROS and "default" not in inner
        if left_out and (like is MISSING or key in there):
            filled[key] = _filled(copy.deepcopy(ZEROS[inner["type"]]), inner, there.get(key, MISSING))
    return filled


def missing(spec: Any, patch: Spec) -> dict[str, Any]:
    """Give the part of a patch that the spec does not show.

    What a patch takes out is never missing: where the schema has a default, that stands there again.
    """
    present = spec if isinstance(spec, Mapping) else {}
    found = {}
    for key, value in patch.items():
        if isinstance(value, Mapping) and value:
            if inner := missing(present.get(key), value):
                found[key] = inner
        elif value is not None and not same(present.get(key), value):
            found[key] = value
    return found
