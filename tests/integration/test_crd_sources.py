"""Where the CRDs of a release are read: a private registry, the chart, a ConfigMap; and what is done with them."""

import asyncio
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from meshupgrade.oci import client_tls
from tests.charts.crds import crd_files, crds_of
from tests.cluster.chart_repository import ChartRepository, serve_directory
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, eventually
from tests.integration.registries import USER, Pusher, running_registry
from tests.unit.oci.certificates import Authority
from tests.unit.oci.images import Image, crd, image
from tests.unit.oci.layer_builder import file

REPOSITORY = "flomesh/osm-edge-bootstrap"


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


def refused(mesh: Mesh, reason: str, said: str) -> str:
    """Wait until the newest spec is refused for that reason, with these words, and give the whole message."""
    ready = mesh.wait_stalled()["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", reason), ready["message"]
    assert said in ready["message"]
    assert "Nothing was changed" in ready["message"]
    return str(ready["message"])


def served(mesh: Mesh, name: str) -> list[str]:
    """Give the versions of a live CRD."""
    live = json.loads(mesh.kubectl("get", "crd", name, "-o", "json").stdout)
    return sorted(version["name"] for version in live["spec"]["versions"])


def crd_image(version: str) -> Image:
    """The image of the bootstrap of a release."""
    return image(*(file(f"osm-crds/{name}", content) for name, content in crd_files(version).items()))


def push(pusher: Callable[[aiohttp.ClientSession], Pusher], tag: str, pushed: Image) -> None:
    async def go() -> None:
        async with aiohttp.ClientSession() as session:
            await pusher(session).push(REPOSITORY, tag, pushed)

    asyncio.run(go())


def test_a_private_registry(in_use: Mesh, operator: Operator, tmp_path: Path) -> None:
    """TLS of a private authority, a client certificate and a login: what is lacking is named, one after the other."""
    authority = Authority()
    server, client = authority.identity("registry"), authority.identity("operator")
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    client.write(tmp_path, "tls")
    tls = {**server.write(tmp_path, "server"), "clientcas": [str(tmp_path / "ca.crt")]}
    program = in_use.cluster.binaries.registry
    with running_registry(program, tmp_path / "open", tls=tls, name="open") as address:
        trusted = client_tls(authority.certificate, client.certificate, client.key).identified
        push(lambda session: Pusher(session, address, scheme="https", tls=trusted), "1.2.1", crd_image("1.2.1"))
    (tmp_path / "open" / "storage").rename(tmp_path / "storage")
    (tmp_path / "locked").mkdir()
    (tmp_path / "storage").rename(tmp_path / "locked" / "storage")

    with running_registry(program, tmp_path / "locked", locked=True, tls=tls) as address:
        image = {"osm": {"image": {"registry": f"{address}/flomesh"}}}
        before = in_use.fingerprints()
        in_use.upgrade("1.2.1", values=image)
        said = refused(in_use, "CRDSourceUnavailable", "answers 400 over plain http")
        assert "take spec.crds.insecure out" in said

        in_use.upgrade("1.2.1", values=image, crds={"insecure": False})
        refused(in_use, "CRDSourceUnavailable", "with tls.crt and tls.key when it wants a client certificate")

        in_use.upgrade("1.2.1", values=image, crds={"insecure": False, "certSecretRef": {"name": "registry-tls"}})
        refused(in_use, "ReferenceInvalid", "spec.crds.certSecretRef: namespace")
        assert in_use.fingerprints() == before

        files = [f"--from-file={key}={tmp_path / key}" for key in ("ca.crt", "tls.crt", "tls.key")]
        in_use.kubectl("create", "secret", "generic", "registry-tls", *files)
        crds = {"insecure": False, "certSecretRef": {"name": "registry-tls"}}
        in_use.upgrade("1.2.1", values=image, crds={**crds, "secretRef": {"name": "registry-tls"}})
        refused(in_use, "ReferenceInvalid", "neither .dockerconfigjson nor username and password")

        pull = {"osm": {"imagePullSecrets": [{"name": "gone"}, {"name": "broken"}, {"name": "pull"}], **image["osm"]}}
        in_use.kubectl("create", "secret", "generic", "broken", "--from-literal=.dockerconfigjson={")
        in_use.upgrade("1.2.1", values=pull, crds=crds)
        said = refused(in_use, "CRDSourceUnavailable", "wants a login")
        assert "has no Secret gone; the docker configuration in Secret broken cannot be used: it is not JSON" in said
        assert "spec.crds.secretRef" in said

        login = ("--docker-server", address, "--docker-username", USER.username, "--docker-password", USER.password)
        in_use.kubectl("create", "secret", "docker-registry", "pull", *login)
        in_use.kubectl("annotate", "meshupgrade", in_use.name, "meshupgrade.io/reconcile-requested-at=1")
        status = in_use.wait_ready()
    assert status["currentVersion"] == "1.2.1"
    assert served(in_use, "meshconfigs.config.openservicemesh.io") == ["v1alpha1", "v1alpha2"]
    for told in (operator.log(), json.dumps(in_use.get())):
        assert USER.password not in told
        assert "PRIVATE KEY" not in told


@contextmanager
def chart_with_crds(mesh: Mesh, folder: Path, crds: Mapping[str, Any]) -> Iterator[ChartRepository]:
    """Serve release 1.2.1 with more files in its chart: CRDs of its own, and of a subchart on and one off."""
    with tarfile.open(mesh.published.directory / f"{mesh.published.chart}-1.2.1.tgz") as archive:
        archive.extractall(folder, filter="data")
    chart = folder / mesh.published.chart
    described = yaml.safe_load((chart / "Chart.yaml").read_text())
    described["dependencies"] = [
        {"name": name, "version": "1.0.0", "condition": f"{name}.on"} for name in ("one", "two")
    ]
    (chart / "Chart.yaml").write_text(yaml.safe_dump(described))
    values = yaml.safe_load((chart / "values.yaml").read_text())
    (chart / "values.yaml").write_text(yaml.safe_dump({**values, "one": {"on": True}, "two": {"on": False}}))
    for path, content in crds.items():
        (chart / path).parent.mkdir(parents=True, exist_ok=True)
        (chart / path).write_text(yaml.safe_dump_all(content))
    packed = folder / "packed"
    mesh.cluster.helm("package", str(chart), "--destination", str(packed))
    mesh.cluster.helm("repo", "index", str(packed))
    with serve_directory(packed) as repository:
        yield repository


def extra_crd(kind: str) -> dict[str, Any]:
    """A CRD that the API server takes."""
    made = crd(f"{kind.lower()}s.mesh.example")
    made["spec"] |= {
        "scope": "Namespaced",
        "names": {"plural": f"{kind.lower()}s", "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    }
    return made


def test_the_chart_and_only_verifying(in_use: Mesh, operator: Operator, tmp_path: Path) -> None:
    """CRDs of the chart's own folder; and a cluster whose CRDs somebody else keeps."""
    files = {
        "crds/mesh.yaml": crds_of("1.2.1"),
        "charts/one/crds/one.yaml": [extra_crd("One")],
        "charts/two/crds/two.yaml": [extra_crd("Two")],
        **{
            f"charts/{name}/Chart.yaml": [{"apiVersion": "v2", "name": name, "version": "1.0.0"}]
            for name in ("one", "two")
        },
    }
    registry = in_use.cluster.registry
    push(lambda session: Pusher(session, registry), "empty", image(file("bin/osm-bootstrap", "none")))
    with chart_with_crds(in_use, tmp_path / "chart", files) as repository:
        chart = {"repository": repository.url}
        before = in_use.fingerprints()
        in_use.upgrade("1.2.1", chart=chart, crds={"policy": "Verify", "source": "Chart"})
        assert "and spec.crds.policy is Verify" in refused(in_use, "CRDsMissing", "is not what this version needs")
        findings = [each["message"] for each in in_use.status()["findings"] if each["name"] == "CRDsMissing"]
        told = {message.split()[1]: message for message in findings}
        assert told["ones.mesh.example"].endswith("Verify: it is not there")
        assert "it lacks version v1alpha2" in told["meshconfigs.config.openservicemesh.io"]
        assert "twos.mesh.example" not in told
        assert "traffictargets.access.smi-spec.io" not in told
        assert in_use.fingerprints() == before

        # What keeps them brings them, without a mark of ours.
        in_use.apply_objects(
            [*crds_of("1.2.1"), extra_crd("One")], "--server-side", "--field-manager=team", "--force-conflicts"
        )
        crds = {key: version for key, version in in_use.fingerprints().items() if "CustomResourceDefinition" in key}
        # The image of this chart has no CRDs in it, so Auto takes those of the chart.
        values = {"osm": {"image": {"registry": f"{registry}/flomesh", "tag": "empty"}}}
        in_use.upgrade("1.2.1", chart=chart, values=values, crds={"policy": "Verify", "migrateStorage": False})
        in_use.wait_ready()
        assert "all 8 CRDs are as this version needs them" in json.dumps(in_use.conditions())
        after = in_use.fingerprints()
        assert {key: after[key] for key in crds} == crds, "Verify writes no CRD, not even a mark of ours"

        in_use.kubectl("delete", "crd", "ones.mesh.example")
        in_use.upgrade("1.2.1", chart=chart, values=values, crds={"policy": "Apply", "source": "Chart"})
        eventually(lambda: "of 8 CRDs 1 created" in json.dumps(in_use.conditions()), operator.log)
        in_use.wait_ready()
        assert served(in_use, "ones.mesh.example") == ["v1"]


def test_a_config_map_and_no_crds_at_all(in_use: Mesh, operator: Operator) -> None:
    before = in_use.fingerprints()
    in_use.upgrade("1.2.0", crds={"imageRef": "127.0.0.1:1/team/mesh:1.0"})
    said = refused(in_use, "CRDSourceUnavailable", "registry 127.0.0.1:1 cannot be read")
    assert "Make the registry reachable from the operator" in said

    wanted = {"imageRef": None, "source": "ConfigMap", "configMapRef": {"name": "mesh-crds"}}
    in_use.upgrade("1.2.0", crds=wanted)
    refused(in_use, "ReferenceInvalid", "spec.crds.configMapRef: namespace")
    in_use.kubectl("create", "configmap", "mesh-crds", "--from-literal=a=kind: [")
    in_use.kubectl("annotate", "meshupgrade", in_use.name, "meshupgrade.io/reconcile-requested-at=1")
    eventually(lambda: "a is not YAML that can be read" in json.dumps(in_use.conditions()), operator.log)
    in_use.kubectl("delete", "configmap", "mesh-crds")
    assert in_use.fingerprints() == before

    keys = {str(number): yaml.safe_dump(each) for number, each in enumerate(crds_of("1.2.0"))}
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mesh-crds", "namespace": in_use.namespace},
        "data": keys,
    }
    in_use.apply_objects([config_map])
    in_use.kubectl("annotate", "--overwrite", "meshupgrade", in_use.name, "meshupgrade.io/reconcile-requested-at=2")
    assert in_use.wait_ready()["currentVersion"] == "1.2.0"
    assert served(in_use, "meshconfigs.config.openservicemesh.io") == ["v1alpha1", "v1alpha2"]

    crds = {key: version for key, version in in_use.fingerprints().items() if "CustomResourceDefinition" in key}
    in_use.upgrade("1.2.1", crds={"policy": "Skip", "imageRef": "127.0.0.1:1/team/mesh:1.0"})
    assert in_use.wait_ready()["currentVersion"] == "1.2.1"
    for kind in ("CRDsApplied", "StorageMigrated"):
        condition = in_use.conditions()[kind]
        assert (condition["reason"], "spec.crds.policy is Skip" in condition["message"]) == ("NothingToDo", True)
    after = in_use.fingerprints()
    assert {key: after[key] for key in crds} == crds


def test_a_registry_that_goes_away_half_way_is_waited_for(in_use: Mesh, operator: Operator, tmp_path: Path) -> None:
    with running_registry(in_use.cluster.binaries.registry, tmp_path / "registry") as address:
        push(lambda session: Pusher(session, address), "1.2.6", crd_image("1.2.6"))
        values = {"osm": {"image": {"registry": f"{address}/flomesh"}}}
        in_use.upgrade("1.2.6", values=values, upgrade={"timeout": "1s", "retries": 1})
        in_use.wait_retrying()
    eventually(lambda: f"registry {address} cannot be read" in json.dumps(in_use.conditions()), operator.log)
    ready = in_use.conditions()["Ready"]
    assert ready["reason"] == "Retrying"
    assert "tried again in" in ready["message"]
    assert in_use.status()["attempts"]["count"] == 1, "a registry that does not answer is no failed attempt"
