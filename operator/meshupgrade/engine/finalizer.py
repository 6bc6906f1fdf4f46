"""The finalizer, held only while an upgrade is under way."""

from collections.abc import Callable, Mapping
from typing import Any

from meshupgrade.api.v1alpha1.names import FINALIZER
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict, NotFound

__all__ = ["remove_finalizer", "set_finalizer"]


async def set_finalizer(kube: Kube, ref: ObjectRef, uid: str) -> Mapping[str, Any]:
    """Set it, before the first write of an upgrade, and give the metadata of the object then. Raises NotFound.

    One that is set already is left.
    """
    return await _change(
        kube, ref, uid, lambda finalizers: [*finalizers, FINALIZER] if FINALIZER not in finalizers else None
    )


async def remove_finalizer(kube: Kube, ref: ObjectRef, uid: str) -> None:
    """Remove it; one that is not set, or an object that is gone, is no error."""

    def without(finalizers: list[str]) -> list[str] | None:
        return [item for item in finalizers if item != FINALIZER] if FINALIZER in finalizers else None

    try:
        await _change(kube, ref, uid, without)
    except NotFound:
        return


async def _change(
    kube: Kube, ref: ObjectRef, uid: str, change: Callable[[list[str]], list[str] | None]
) -> Mapping[str, Any]:
    """Write the changed list, guarded by resourceVersion, since other controllers keep finalizers there too."""
    while True:
        metadata: Mapping[str, Any] = (await kube.get(ref))["metadata"]
        wanted = change(metadata.get("finalizers") or []) if metadata["uid"] == uid else None
        if wanted is None:
            return metadata
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": wanted}}
        try:
            changed: Mapping[str, Any] = (await kube.merge_patch(ref, patch))["metadata"]
        except Conflict:
            continue
        return changed
