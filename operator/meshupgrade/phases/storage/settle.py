"""The wait until API servers store objects in another version than before.

The handler of custom resources hears of a changed CRD a moment later, and on a busy API server more than half a second
later; discovery, which tells the stored version, hears of it independently (kubernetes #130235). But a write that
changes nothing is written to etcd, and gives a new resourceVersion, exactly when the object was stored in another
version than the handler's. So an object that was written right before the switch, a canary, tells when the handler has
heard. Changes of CRDs reach the handler in their order: the canary of the last one speaks for all before it.
"""

import asyncio
from dataclasses import dataclass

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict, Forbidden, NotFound, Rejected, Unreachable
from meshupgrade.phases.shape import PhaseFailed

__all__ = ["Canary", "answers", "find_canary", "is_refusal", "settle"]

IDENTITY = "apiserver.kubernetes.io/identity=kube-apiserver"
"""Label of the Lease that each kube-apiserver keeps, from Kubernetes 1.26 on."""

UNSEEN, MANY = 1.0, 5.0
"""Seconds to wait where no canary can tell, and where there are several API servers, of which it tells one.

Five are what Kubernetes itself waits for other API servers (customresource_handler.go).
"""

TIMEOUT = 30.0
PAUSE = 0.02


@dataclass
class Canary:
    """An object that tells when it is stored in another version; its resourceVersion, and where it is written."""

    ref: ObjectRef
    resource_version: str

    async def was_stored_anew(self, kube: Kube) -> bool | None:
        """Write it as it is; tell whether it had been stored in another version. None when somebody else changed it."""
        try:
            after = await kube.merge_patch(self.ref, {"metadata": {"resourceVersion": self.resource_version}})
        except (Conflict, NotFound):
            return None
        except (Rejected, Forbidden) as error:
            if not is_refusal(error):
                raise
            return None
        before, self.resource_version = self.resource_version, after["metadata"]["resourceVersion"]
        return before != self.resource_version


def is_refusal(error: Rejected | Forbidden) -> bool:
    """Tell whether it is this object that may not be written, and not the account that may not write.

    A webhook's denial comes as Forbidden, in words of the API server (apiserver, package admission/plugin/webhook).
    """
    return isinstance(error, Rejected) or "denied the request" in error.message


async def find_canary(kube: Kube, api_version: str, kind: str) -> Canary | None:
    """Give an object of the kind, written just now; None when there is none that can be written. Raises Unreachable."""
    async for page in kube.pages(api_version, kind, limit=1, metadata_only=True):
        for item in page.items:
            metadata = item["metadata"]
            ref = ObjectRef(api_version, kind, metadata["name"], metadata.get("namespace"))
            canary = Canary(ref, metadata["resourceVersion"])
            return None if await canary.was_stored_anew(kube) is None else canary
        break
    return None


async def settle(kube: Kube, canary: Canary | None) -> bool:
    """Wait until what is written from now on is stored in the new version; tell whether the canary is already.

    Raises PhaseFailed when it never is.
    """
    told = canary is not None and await _told(kube, canary)
    if not told:
        await asyncio.sleep(UNSEEN)
    if not await _is_alone(kube):
        await asyncio.sleep(MANY)
    return told


async def answers(kube: Kube, api_version: str, kind: str) -> None:
    """Wait until the kind can be listed: after a change of its CRD its storage is made anew. Raises Unreachable."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT
    while True:
        try:
            async for _ in kube.pages(api_version, kind, limit=1, metadata_only=True):
                return
        except Unreachable:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _told(kube: Kube, canary: Canary) -> bool:
    """Wait for the canary to tell; False when somebody else changed it, so that it cannot."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while True:
                if (anew := await canary.was_stored_anew(kube)) is not False:
                    return bool(anew)
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise PhaseFailed(
            Reason.TIMED_OUT, f"the API server still stores {canary.ref} in the old version after {TIMEOUT:.0f} s"
        ) from None


async def _is_alone(kube: Kube) -> bool:
    leases = kube.list_objects(
        "coordination.k8s.io/v1", "Lease", "kube-system", labels=IDENTITY, metadata_only=True
    )  # fmt: skip
    try:
        return len([lease async for lease in leases]) == 1
    except Forbidden:
        return False
