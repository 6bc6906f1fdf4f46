"""The stand-in for osm-injector, against the fixture mesh."""

import json
import subprocess
import uuid
from typing import Any

import pytest

from tests.charts.releases import release
from tests.cluster.injector import InjectorStandIn
from tests.integration.harness import Mesh, eventually

Object = dict[str, Any]

ANNOTATION = "openservicemesh.io/sidecar-injection"
ENABLED = {ANNOTATION: "enabled"}


class Shop:
    """A namespace of the mesh, and Pods that are created in it, for real or for a try."""

    def __init__(self, mesh: Mesh, annotations: dict[str, str]) -> None:
        self.mesh = mesh
        self.name = f"shop-{uuid.uuid4().hex[:8]}"
        labels = {"openservicemesh.io/monitored-by": mesh.release}
        metadata = {"name": self.name, "labels": labels, "annotations": annotations}
        mesh.apply_objects([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
        account = ("get", "serviceaccount", "default", f"--namespace={self.name}")
        eventually(lambda: mesh.cluster.kubectl(*account, check=False).returncode == 0, lambda: "no ServiceAccount")

    def create(self, *, dry_run: bool = True, annotations: Object | None = None, **spec: Any) -> Object:
        """The Pod as the API server answers."""
        answer = self._create(dry_run, annotations or {}, spec)
        answer.check_returncode()
        pod: Object = json.loads(answer.stdout)
        return pod

    def refusal(self, **annotations: str) -> str:
        """Why a Pod is not let in; empty when it is."""
        return self._create(True, annotations, {}).stderr

    def sidecar(self) -> str:
        """The image of the sidecar that a Pod would get; empty for none."""
        images: list[str] = [one["image"] for one in self.create()["spec"]["containers"] if one["name"] == "sidecar"]
        return images[0] if images else ""

    def _create(self, dry_run: bool, annotations: Object, spec: Object) -> subprocess.CompletedProcess[str]:
        metadata = {"generateName": "app-", "namespace": self.name, "annotations": annotations}
        full = {"containers": [{"name": "app", "image": "app:1"}], **spec}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": full}
        options = ["--dry-run=server"] if dry_run else []
        return self.mesh.cluster.kubectl(
            "create", "-f", "-", "--output=json", *options, input=json.dumps(pod), check=False
        )


@pytest.fixture
def shop(mesh: Mesh) -> Shop:
    """A namespace of an installed mesh that is annotated for injection."""
    mesh.install("1.1.0")
    return Shop(mesh, ENABLED)


def set_sidecar(mesh: Mesh, **fields: Any) -> None:
    """Change the part of the MeshConfig that is about sidecars."""
    mesh.kubectl(
        "patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p", json.dumps({"spec": {"sidecar": fields}})
    )


def test_what_is_injected_and_into_what(mesh: Mesh, shop: Shop, injector: InjectorStandIn) -> None:
    mesh.apply_objects([mesh.mesh_config("1.1.0")])
    image = release("1.1.0").sidecar_image
    pod = shop.create(dry_run=False)
    init = f"{mesh.cluster.registry}/flomesh/osm-edge-sidecar-init:1.1.0"
    assert [(one["name"], one["image"]) for one in pod["spec"]["containers"]] == [("app", "app:1"), ("sidecar", image)]
    assert [(one["name"], one["image"]) for one in pod["spec"]["initContainers"]] == [("osm-init", init)]
    assert uuid.UUID(pod["metadata"]["labels"]["osm-proxy-uuid"])
    name = pod["metadata"]["name"]
    ready = ("wait", "--for=condition=Ready", f"pod/{name}", f"--namespace={shop.name}", "--timeout=30s")
    mesh.cluster.kubectl(*ready)
    assert shop.create()["metadata"]["labels"]["osm-proxy-uuid"] != pod["metadata"]["labels"]["osm-proxy-uuid"]
    assert [(one.namespace, one.image, one.dry_run) for one in injector.admissions] == [
        (shop.name, image, False),
        (shop.name, image, True),
    ]

    def count(**arguments: Any) -> int:
        return len(shop.create(**arguments)["spec"]["containers"])

    assert count(annotations={ANNOTATION: "no"}) == 1
    assert count(hostNetwork=True) == 1
    assert count(containers=[{"name": "app", "image": "a"}, {"name": "sidecar", "image": "b"}]) == 2
    assert "invalid value" in shop.refusal(**{ANNOTATION: "perhaps"})
    by_itself = Shop(mesh, {})
    assert by_itself.sidecar() == ""
    assert len(by_itself.create(annotations={ANNOTATION: "True"})["spec"]["containers"]) == 2
    for one in (shop, by_itself):
        mesh.cluster.kubectl("delete", "namespace", one.name, "--wait=false")


def test_the_images_of_the_mesh_config_then_of_its_driver_then_of_the_injector(
    mesh: Mesh, shop: Shop, injector: InjectorStandIn
) -> None:
    def set_default(image: str) -> None:
        mesh.kubectl("set", "env", "deployment/osm-injector", f"OSM_DEFAULT_SIDECAR_IMAGE={image}")

    assert shop.sidecar() == release("1.1.0").sidecar_image
    set_default("of-env:1")
    eventually(lambda: shop.sidecar() == "of-env:1", lambda: "the injector's own default is not injected")
    mesh.apply_objects([mesh.mesh_config("1.1.0")])
    set_sidecar(mesh, sidecarImage="", sidecarClass="none")
    eventually(lambda: shop.sidecar() == "of-env:1", lambda: "the injector's own default is not injected")
    set_default("")
    eventually(lambda: "no image of the sidecar" in shop.refusal(), lambda: "a Pod is let in without a sidecar")
    set_sidecar(mesh, sidecarClass="PIPY", sidecarDrivers=[{"sidecarName": "pipy", "sidecarImage": "of-driver:1"}])
    eventually(lambda: not shop.refusal(), lambda: "the image of the driver is not seen")
    eventually(lambda: shop.sidecar() == "of-driver:1", lambda: "the image of the driver is not injected")
    set_sidecar(mesh, sidecarImage="of-field:1")
    eventually(lambda: shop.sidecar() == "of-field:1", lambda: "the image of the field is not injected")
    mesh.cluster.kubectl("delete", "namespace", shop.name, "--wait=false")


def test_faults(mesh: Mesh, shop: Shop) -> None:
    image = release("1.1.0").sidecar_image
    mesh.apply_objects([mesh.mesh_config("1.1.0")])
    with InjectorStandIn(mesh.cluster, mesh.namespace) as injector:
        assert shop.sidecar() == image
        injector.image = "another:1"
        assert shop.sidecar() == "another:1"
        injector.image = ""
        injector.skipping = True
        assert shop.sidecar() == ""
        injector.skipping = False
        injector.rejecting = "no certificate can be issued"
        assert "no certificate can be issued" in shop.refusal()
        injector.rejecting = ""
        injector.go_down()
        assert "failed calling webhook" in shop.refusal()
        injector.fail_with("Ignore")
        assert shop.sidecar() == ""
        injector.come_back()
        assert shop.sidecar() == image
        injector.go_down("Fail")
        assert "connection refused" in shop.refusal()
        injector.come_back()
        assert shop.sidecar() == image
    assert shop.sidecar() == ""
    configurations = mesh.cluster.kubectl("get", "mutatingwebhookconfigurations", "-o", "name").stdout
    assert injector.name not in configurations
    mesh.cluster.kubectl("delete", "namespace", shop.name, "--wait=false")
