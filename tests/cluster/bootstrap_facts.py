"""What the stand-in for osm-bootstrap must know of each mesh, read in the meshes' own releases."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import semver

__all__ = ["MESHES", "Mesh", "Mode", "crd_image", "init_container", "mesh_of", "newest_version", "reconciles"]


class Mode(Enum):
    """What a release does with a CRD that exists already; all of them create one that is missing."""

    #: ``kubectl apply`` in an init container: a client-side apply.
    APPLY = "apply"
    #: The spec is replaced, conversion is set to None.
    REPLACE = "replace"
    #: As replace, but versions that the new CRD no longer has stay, served and not stored.
    MERGE = "merge"


@dataclass(frozen=True)
class Mesh:
    """One family of names; osm and osm-edge share theirs.

    `modes` and `labels` say since which version a release does it that way; a release with the init container applies,
    whatever its version.
    """

    bootstrap: str
    init_container: str
    #: Deployments whose Pods wait in an init container until the bootstrap's health endpoint answers.
    waiting: tuple[str, ...]
    crd_folder: str
    reconcile_label: str
    mesh_config: str
    mesh_config_group: str
    modes: Mapping[str, Mode]
    #: "flag": true or false, as --enable-reconciler says; "version": the release's version, whatever the flag says.
    labels: Mapping[str, str]

    @property
    def apps(self) -> tuple[str, ...]:
        """The values of the label `app` of all Pods that the stand-in gates."""
        return (self.bootstrap, *self.waiting)

    def mode(self, pod: Mapping[str, Any]) -> Mode:
        """What the release of this bootstrap Pod does with existing CRDs."""
        if init_container(self, pod):
            return Mode.APPLY
        return self.modes[_since(pod, self.modes)]

    def label(self, pod: Mapping[str, Any], reconcile: bool) -> str:
        """The value of the reconcile label that the release of this Pod puts on CRDs, and looks for."""
        if self.labels[_since(pod, self.labels)] == "version":
            return str(pod["metadata"]["labels"]["app.kubernetes.io/version"])
        return str(reconcile).lower()


MESHES = (
    Mesh(
        bootstrap="osm-bootstrap",
        init_container="init-osm-bootstrap",
        waiting=("osm-controller", "osm-injector"),
        crd_folder="osm-crds",
        reconcile_label="openservicemesh.io/reconcile",
        mesh_config="osm-mesh-config",
        mesh_config_group="config.openservicemesh.io",
        modes={"0.0.0": Mode.REPLACE},
        # osm alone has a 1.2.4; the releases of osm-edge go from 1.2.3 to 1.3.0.
        labels={"0.0.0": "flag", "1.2.4": "version", "1.3.0-0": "flag"},
    ),
    Mesh(
        bootstrap="fsm-bootstrap",
        init_container="init-fsm-bootstrap",
        waiting=("fsm-controller", "fsm-injector"),
        crd_folder="fsm-crds",
        reconcile_label="flomesh.io/reconcile",
        mesh_config="fsm-mesh-config",
        mesh_config_group="config.flomesh.io",
        modes={"0.0.0": Mode.REPLACE, "1.3.4": Mode.MERGE},
        labels={"0.0.0": "flag"},
    ),
)


def mesh_of(app: str) -> Mesh:
    """The mesh to which a Pod with that label `app` belongs. Raises KeyError for any other Pod."""
    for mesh in MESHES:
        if app in mesh.apps:
            return mesh
    raise KeyError(app)


def init_container(mesh: Mesh, pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The init container of a bootstrap Pod that carries the CRDs, or None in releases without one."""
    found = [one for one in pod["spec"].get("initContainers", []) if one["name"] == mesh.init_container]
    return found[0] if found else None


def crd_image(mesh: Mesh, pod: Mapping[str, Any]) -> str:
    """The image of a bootstrap Pod that carries the CRDs."""
    container = init_container(mesh, pod) or _bootstrap_container(mesh, pod)
    return str(container["image"])


def reconciles(mesh: Mesh, pod: Mapping[str, Any]) -> bool:
    """Whether a bootstrap Pod runs with its reconciler; both ``--flag=true`` and a bare ``--flag`` switch it on."""
    container = _bootstrap_container(mesh, pod)
    value = False
    for argument in (*container.get("command", ()), *container.get("args", ())):
        name, _, given = argument.partition("=")
        if name == "--enable-reconciler":
            value = given.lower() in ("", "1", "t", "true")
    return value


def newest_version(names: Iterable[str]) -> str:
    """The newest of some API versions, as Kubernetes orders them: v2 before v1 before v1beta2 before v1alpha1."""

    def key(name: str) -> tuple[int, ...]:
        match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", name)
        if match is None:
            return (-1,)
        stage = {None: 2, "beta": 1, "alpha": 0}[match[2]]
        return (stage, int(match[1]), int(match[3] or 0))

    return max(names, key=key)


def _bootstrap_container(mesh: Mesh, pod: Mapping[str, Any]) -> Mapping[str, Any]:
    containers = pod["spec"]["containers"]
    # A chart may name it otherwise; the first container is then the best guess.
    return next((one for one in containers if one["name"] == mesh.bootstrap), containers[0])


def _since(pod: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """The last key of the table that is not newer than the Pod's release; the oldest one without a readable version."""
    text = pod["metadata"].get("labels", {}).get("app.kubernetes.io/version", "")
    try:
        version = semver.Version.parse(text.removeprefix("v"))
    except ValueError:
        version = semver.Version(0)
    return max((key for key in table if semver.Version.parse(key) <= version), key=semver.Version.parse)
