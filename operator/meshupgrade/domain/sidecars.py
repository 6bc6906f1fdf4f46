"""What a Pod runs beside its application, compared with what would be injected into it now.

What counts as what, for the sidecar and for the init container; a Pod is what the worse of the two is:

========================================  ========================  ==================================================
the container's image                     the image wanted          it is
========================================  ========================  ==================================================
names a digest                            with the same digest      current, whatever the tags and registries are
runs a digest (imageID)                   with the same digest      current, likewise; what it names goes before this
either, another digest                    with a digest             outdated
no digest known, other name or tag        with a digest             outdated
no digest known, the same name and tag    with a digest             unknown: the tag may have been another image
another name or tag                       without a digest          outdated
the same name, and a digest               without a digest          unknown: nobody says what the tag is now
the same name and tag                     without a digest          current, unless the tag was moved (see below)
any                                       not known                 unknown
========================================  ========================  ==================================================

A tag was moved when Pods that name it run several digests. What the youngest of them runs is what the tag is now, and
those that run another digest are unknown; so are all, when the youngest were made in the same second and differ.

A Pod has been injected when it has the mesh's label, or both containers: an application may have a container of the
sidecar's name. If it has no sidecar container then, it is unknown. So is a Pod for Windows, which gets other images.
If it has no init container, only the sidecar counts: some ways to redirect traffic need none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from sys import intern
from typing import Any, Protocol

from meshupgrade.domain.image_names import DEFAULT_TAG, split_registry, split_tag

__all__ = [
    "Images",
    "PodSidecar",
    "Running",
    "SidecarNames",
    "SidecarState",
    "TagSeen",
    "has_current_sidecar",
    "judge",
    "sidecar_of",
    "with_tags",
]


class SidecarState(StrEnum):
    """What is known of a Pod's sidecar. Unknown is never current."""

    CURRENT = "current"
    OUTDATED = "outdated"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TagSeen:
    """What a tag without a digest was, as of the youngest Pod that names it."""

    created: datetime
    digest: str | None
    """None when Pods of the same second differ."""


@dataclass(frozen=True)
class Images:
    """The images that are injected now; None for one that cannot be told."""

    sidecar: str | None
    init: str | None
    sidecar_seen: TagSeen | None = field(default=None, compare=False)
    """What the sidecar's tag was last; None when it has a digest, and when no Pod is known to run it."""

    init_seen: TagSeen | None = field(default=None, compare=False)


class SidecarNames(Protocol):
    """How a mesh names what it injects."""

    @property
    def container(self) -> str:
        """The sidecar."""
        ...

    @property
    def init_container(self) -> str:
        """The init container."""
        ...

    @property
    def pod_label(self) -> str:
        """A label that every injected Pod gets."""
        ...


@dataclass(frozen=True, slots=True)
class Running:
    """The image of one container."""

    image: str
    """As the Pod names it."""

    ran: str | None
    """The digest of what was pulled for it, once it was started."""


@dataclass(frozen=True, slots=True)
class PodSidecar:
    """What an injected Pod runs."""

    sidecar: Running | None
    init: Running | None
    windows: bool = False


def sidecar_of(pod: Mapping[str, Any], names: SidecarNames) -> PodSidecar | None:
    """Give what a live Pod runs; None for one that was not injected."""
    spec, status = pod["spec"], pod.get("status") or {}
    inits = spec.get("initContainers") or []
    native = [container for container in inits if container.get("restartPolicy") == "Always"]
    statuses = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    sidecar = _running([*spec["containers"], *native], statuses, names.container)
    init = _running(inits, statuses, names.init_container)
    if names.pod_label not in (pod["metadata"].get("labels") or {}) and (sidecar is None or init is None):
        return None
    system = (spec.get("nodeSelector") or {}).get("kubernetes.io/os", "")
    return PodSidecar(sidecar, init, windows=system.lower() == "windows")


def judge(pod: PodSidecar, images: Images) -> SidecarState:
    """Give the state of an injected Pod."""
    if pod.sidecar is None or pod.windows:
        return SidecarState.UNKNOWN
    states = {_compare(pod.sidecar, images.sidecar, images.sidecar_seen)}
    if pod.init is not None:
        states.add(_compare(pod.init, images.init, images.init_seen))
    return next(
        state for state in (SidecarState.OUTDATED, SidecarState.UNKNOWN, SidecarState.CURRENT) if state in states
    )


def has_current_sidecar(pod: PodSidecar, images: Images) -> bool:
    """Tell whether the sidecar of an injected Pod is current, whatever its init container is."""
    return judge(replace(pod, init=None), images) is SidecarState.CURRENT


def with_tags(images: Images, pods: Iterable[tuple[datetime, PodSidecar]]) -> Images:
    """Give the images with what their tags are by now, as these Pods show it, each with when it was created."""
    sidecar, init = images.sidecar_seen, images.init_seen
    for created, pod in pods:
        sidecar = _seen(sidecar, images.sidecar, created, pod.sidecar)
        init = _seen(init, images.init, created, pod.init)
    return replace(images, sidecar_seen=sidecar, init_seen=init)


def _seen(known: TagSeen | None, wanted: str | None, created: datetime, container: Running | None) -> TagSeen | None:
    if container is None or container.ran is None or wanted is None or not _is_same_tag(container.image, wanted):
        return known
    if known is None or created > known.created:
        return TagSeen(created, container.ran)
    if created == known.created and container.ran != known.digest:
        return TagSeen(created, None)
    return known


def _compare(container: Running, wanted: str | None, seen: TagSeen | None) -> SidecarState:
    if wanted is None:
        return SidecarState.UNKNOWN
    has, want = _parsed(container.image), _parsed(wanted)
    digest = has.digest or container.ran
    if want.digest and digest:
        return SidecarState.CURRENT if digest == want.digest else SidecarState.OUTDATED
    if has.name != want.name or (has.tag and want.tag and has.tag != want.tag):
        return SidecarState.OUTDATED
    if want.digest or has.digest:
        return SidecarState.UNKNOWN
    moved = container.ran is not None and seen is not None and container.ran != seen.digest
    return SidecarState.UNKNOWN if moved else SidecarState.CURRENT


@dataclass(frozen=True, slots=True)
class _Parsed:
    name: tuple[str, str]
    tag: str | None
    digest: str | None


@lru_cache(maxsize=256)
def _parsed(image: str) -> _Parsed:
    rest, _, digest = image.partition("@")
    name, tag = split_tag(rest)
    return _Parsed(split_registry(name), tag or (None if digest else DEFAULT_TAG), digest or None)


def _is_same_tag(image: str, wanted: str) -> bool:
    one, other = _parsed(image), _parsed(wanted)
    return one == other and one.digest is None


def _running(specs: Iterable[Mapping[str, Any]], statuses: Iterable[Mapping[str, Any]], name: str) -> Running | None:
    image = next((spec.get("image") or "" for spec in specs if spec["name"] == name), None)
    if image is None:
        return None
    status: Mapping[str, Any] = next((status for status in statuses if status["name"] == name), {})
    # A bare sha256:… is the digest of the image's configuration, which no registry names.
    _, _, digest = (status.get("imageID") or "").partition("@")
    return Running(intern(image), intern(digest) or None)
