"""Where the objects of a CRD that changes its scope go, and whether their owners are namespaced."""

from collections.abc import Mapping
from typing import Any

from meshupgrade.domain.scope import NAMESPACED, ScopeChange, namespace_candidates
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import KindNotServed

__all__ = ["Places", "owner_is_namespaced"]

Object = Mapping[str, Any]


class Places:
    """Where objects of a CRD go; namespaces are looked up once."""

    def __init__(self, kube: Kube, change: ScopeChange, given: str | None) -> None:
        self._kube = kube
        self._change = change
        self._given = given
        self._known: dict[str, bool] = {}

    async def of(self, obj: Object) -> str | None:
        """Give the namespace that the object goes to; None when it is cluster-scoped. Raises LookupError."""
        metadata = obj["metadata"]
        if self._change.after != NAMESPACED:
            return None
        if metadata.get("namespace"):
            return str(metadata["namespace"])
        candidates = namespace_candidates(metadata, self._given)
        for candidate in candidates:
            if await self._is_there(candidate):
                return candidate
        raise LookupError(metadata["name"], candidates)

    async def _is_there(self, namespace: str) -> bool:
        if namespace not in self._known:
            found = await self._kube.find(ObjectRef("v1", "Namespace", namespace))
            self._known[namespace] = found is not None and "deletionTimestamp" not in found["metadata"]
        return self._known[namespace]


async def owner_is_namespaced(kube: Kube, api_version: str, kind: str) -> bool | None:
    """Tell whether owners of that kind are namespaced; None when nobody serves it."""
    try:
        return await kube.is_namespaced(api_version, kind)
    except KindNotServed:
        return None
