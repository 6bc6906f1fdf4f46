"""What goes into Helm: values out of ConfigMaps and Secrets, charts behind logins, TLS, proxies and signatures."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from pysequoia import SignatureMode, Tsk, sign

from meshupgrade.domain.merge import without_nulls
from meshupgrade.domain.values import coalesce_values
from meshupgrade.helm.chart_cache import sha256
from tests.charts.build import write_chart
from tests.charts.publish import Published
from tests.charts.releases import release
from tests.cluster.chart_repository import serve_directory
from tests.cluster.cluster import Cluster
from tests.integration.harness import NO_FINALIZERS, Mesh, Object, Operator, eventually, install_crd
from tests.integration.registries import USER as REGISTRY_USER
from tests.integration.registries import running_registry
from tests.integration.secure_repository import USER, SecureRepository, proxy, secure_repository
from tests.unit.oci.certificates import Authority

SECRET = 'S3CR3T-"<battery>-staple'
PUBLISHER, SOMEBODY = Tsk.generate("Publisher <publisher@example.test>"), Tsk.generate("Somebody")
LEAK = """
{{- if .Values.tell }}
{{- fail (printf "cannot use %s, which is %s, or %s" .Values.tell (b64enc .Values.tell) (.Values.tell | toJson)) }}
{{- end }}
"""


@pytest.fixture(scope="module")
def cluster(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for the tests of this module: their meshes bring the same CRDs in."""
    with Cluster.start(tmp_path_factory.mktemp("inputs"), progress=lambda _: None) as running:
        install_crd(running)
        yield running


@pytest.fixture
def mesh(cluster: Cluster, namespace: str, published: Published, repository: Any) -> Iterator[Mesh]:
    """A mesh that is not installed yet; the CRDs stay, since to end one takes the API server long."""
    mesh = Mesh(cluster, namespace, published, repository)
    yield mesh
    mesh.kubectl("delete", "meshupgrades", "--all", "--wait=false", check=False)
    mesh.kubectl("patch", "meshupgrade", mesh.name, "--type=merge", "-p", NO_FINALIZERS, check=False)
    cluster.helm("uninstall", mesh.release, "--namespace", namespace, "--no-hooks", check=False)


@pytest.fixture(scope="module")
def charts(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release 1.2.1, signed, with a template that tells a secret in an error."""
    folder = tmp_path_factory.mktemp("charts")
    helm = shared_cluster.helm
    chart = write_chart(folder, release("1.2.1"), shared_cluster.registry)
    (chart / "templates" / "leak.yaml").write_text(LEAK)
    helm("package", str(chart), "--destination", str(folder / "served"))
    helm("repo", "index", str(folder / "served"))
    archive = next((folder / "served").glob("*.tgz"))
    text = f"name: osm-edge\n...\nfiles:\n  {archive.name}: {sha256(archive.read_bytes())}\n"
    signature = sign(PUBLISHER.signer(), text.encode(), mode=SignatureMode.CLEAR)
    archive.with_name(f"{archive.name}.prov").write_bytes(bytes(signature))
    return folder / "served"


def keep(mesh: Mesh, kind: str, name: str, data: dict[str, str], **fields: Any) -> None:
    """Make a ConfigMap or Secret."""
    key = "stringData" if kind == "Secret" else "data"
    mesh.apply_objects(
        [
            {
                "apiVersion": "v1",
                "kind": kind,
                "metadata": {"name": name, "namespace": mesh.namespace},
                key: data,
                **fields,
            }
        ]
    )


def user_values(mesh: Mesh) -> Object:
    values: Object = json.loads(
        mesh.cluster.helm("get", "values", mesh.release, "--namespace", mesh.namespace, "-o", "json").stdout
    )
    return values


def refused(mesh: Mesh, reason: str, said: str) -> str:
    """Wait until the newest spec is refused for that reason, with these words, and give the message."""
    ready = mesh.wait_stalled()["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", reason), ready["message"]
    assert said in ready["message"]
    assert "Nothing was changed" in ready["message"]
    return str(ready["message"])


def assert_nowhere(mesh: Mesh, operator: Operator, *secrets: str) -> None:
    """Nothing that anybody sees holds a secret, in any form of it."""
    events = mesh.kubectl("get", "events", "-o", "json").stdout
    history = mesh.cluster.helm("history", mesh.release, "--namespace", mesh.namespace, "-o", "json").stdout
    for told in (operator.log(), json.dumps(mesh.get(), ensure_ascii=False), events, history):
        for secret in secrets:
            encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
            for form in (secret, encoded, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1]):
                assert form not in told


def fingerprints(mesh: Mesh) -> dict[str, str]:
    """Give those of the mesh's own namespace: others, of tests before, are being deleted."""
    return {name: version for name, version in mesh.fingerprints().items() if f" {mesh.namespace}/" in name}


def files_under(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.startswith("operator-")]


def test_values_out_of_config_maps_and_secrets(
    mesh: Mesh, start_operator: Callable[..., Operator], tmp_path: Path
) -> None:
    mesh.install("1.1.0", crds=False)
    team = {"osm": {"sidecarLogLevel": "debug", "controllerLogLevel": "warn", "injector": {"replicaCount": 2}}}
    keep(mesh, "ConfigMap", "team", {"values.yaml": yaml.safe_dump(team)})
    keep(
        mesh,
        "Secret",
        "own",
        {"prefix": "s3cr3t-prefix-9", "all": "osm: {controllerLogLevel: error}", "number": "0042"},
    )
    work_dir = tmp_path / "work"
    operator = start_operator("--work-dir", str(work_dir))
    mesh.upgrade(
        "1.2.1",
        values={"osm": {"sidecarLogLevel": "info"}},
        valuesFrom=[
            {"kind": "ConfigMap", "name": "team"},
            {"kind": "ConfigMap", "name": "nowhere", "optional": True},
            {"kind": "Secret", "name": "own", "key": "nowhere", "optional": True},
            {"kind": "Secret", "name": "own", "key": "all"},
            {"kind": "Secret", "name": "own", "key": "prefix", "targetPath": "osm.webhookConfigNamePrefix"},
            {"kind": "Secret", "name": "own", "key": "number", "targetPath": "numbers[1]", "literal": True},
        ],
    )
    mesh.wait_ready()
    assert user_values(mesh) == {
        "osm": {
            # The spec goes before all, and a later one before an earlier.
            "sidecarLogLevel": "info",
            "controllerLogLevel": "error",
            "injector": {"replicaCount": 2},
            "webhookConfigNamePrefix": "s3cr3t-prefix-9",
        },
        "numbers": [None, "0042"],
    }
    assert_nowhere(mesh, operator, "s3cr3t-prefix-9")
    assert not any(b"s3cr3t-prefix-9" in content for content in files_under(work_dir))
    operator.stop()

    # At rest: what was changed there is noticed at the next look, which a new operator takes at once.
    keep(mesh, "Secret", "own", {"all": "osm: {controllerLogLevel: debug}"})
    operator = start_operator()
    eventually(lambda: user_values(mesh)["osm"]["controllerLogLevel"] == "debug", operator.log)
    mesh.wait_ready()
    assert len(mesh.revisions()) == 3


def test_references_that_lead_to_no_values(mesh: Mesh, operator: Operator) -> None:
    """All are told at once, and nothing of what is in them."""
    mesh.install("1.1.0", crds=False)
    keep(mesh, "ConfigMap", "words", {"values.yaml": "just S3CR3T words", "broken": "a: [S3CR3T"})
    keep(mesh, "Secret", "own", {"value": "S3CR3T,S3CR3T"})
    keep(mesh, "Secret", "osm-ca-bundle", {"values.yaml": "a: 1"})
    before = fingerprints(mesh)
    mesh.upgrade(
        "1.2.1",
        valuesFrom=[
            {"kind": "ConfigMap", "name": "nowhere"},
            {"kind": "ConfigMap", "name": "words", "key": "nowhere"},
            {"kind": "ConfigMap", "name": "words"},
            {"kind": "ConfigMap", "name": "words", "key": "broken"},
            {"kind": "Secret", "name": "own", "key": "value", "targetPath": "a"},
            {"kind": "Secret", "name": "sh.helm.release.v1.osm.v1", "key": "release", "targetPath": "a"},
            {"kind": "Secret", "name": "osm-ca-bundle"},
        ],
    )
    refused(mesh, "ReferenceInvalid", "spec.valuesFrom[0]: ")
    found = {finding["message"].partition(":")[0]: finding for finding in mesh.status()["findings"]}
    wanted = {
        0: ("ReferenceInvalid", "has no ConfigMap nowhere"),
        1: ("ReferenceInvalid", "has no key nowhere"),
        2: ("ValuesInvalid", "is no object"),
        3: ("ValuesInvalid", "is no YAML"),
        4: ("ValuesInvalid", "literal"),
        5: ("ReferenceInvalid", "one of Helm's own"),
        6: ("ReferenceInvalid", "the key of the mesh's authority"),
    }
    for index, (name, said) in wanted.items():
        finding = found[f"spec.valuesFrom[{index}]"]
        assert (finding["name"], finding["severity"]) == (name, "Error")
        assert said in finding["message"]
        assert finding["remedy"]
    assert "S3CR3T" not in json.dumps(mesh.status()) + operator.log()
    assert fingerprints(mesh) == before


def test_errors_that_tell_a_secret_are_scrubbed(mesh: Mesh, operator: Operator, charts: Path) -> None:
    mesh.install("1.1.0", crds=False)
    keep(mesh, "Secret", "own", {"secret": SECRET, "prefix": "S3CR3T_In_A_Name"})
    told = {"kind": "Secret", "name": "own", "key": "secret", "targetPath": "tell", "literal": True}
    with serve_directory(charts) as telling:
        # Helm tells it, as it is, in base64 and in JSON.
        mesh.upgrade("1.2.1", chart={"repository": telling.url}, valuesFrom=[told])
        assert "cannot use ***, which is ***" in refused(mesh, "RenderFailed", "cannot use")
    # The API server tells it, and so does what compares the identity.
    prefix = {"kind": "Secret", "name": "own", "key": "prefix", "targetPath": "osm.webhookConfigNamePrefix"}
    name = {"kind": "Secret", "name": "own", "key": "secret", "targetPath": "osm.meshName", "literal": True}
    mesh.upgrade("1.2.1", valuesFrom=[prefix, name])
    refused(mesh, "IdentityChanged", "to '***'")
    assert "ObjectRejected" in {finding["name"] for finding in mesh.status()["findings"]}
    assert_nowhere(mesh, operator, SECRET, "S3CR3T_In_A_Name")


def public(key: Tsk) -> bytes:
    return bytes(key.extract_certificate())


def test_a_repository_with_tls_a_login_and_signatures(
    mesh: Mesh, operator: Operator, charts: Path, tmp_path: Path
) -> None:
    """What is lacking is named, one after the other, until all is there."""
    mesh.install("1.2.1", crds=False)
    authority = Authority()
    server, client = authority.identity("charts").write(tmp_path, "server"), authority.identity("operator")
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    identity = (Path(server["certificate"]), Path(server["key"]))
    with secure_repository(charts, identity, clients=tmp_path / "ca.crt") as repository:
        _come_in(mesh, repository, authority.certificate, client.certificate, client.key)
        assert repository.denied > 0
    assert_nowhere(mesh, operator, USER[1], ":".join(USER))
    assert "PRIVATE KEY" not in operator.log()


def _come_in(mesh: Mesh, repository: SecureRepository, ca: bytes, certificate: bytes, key: bytes) -> None:
    chart: Object = {"repository": repository.url}
    mesh.upgrade("1.2.1", chart=chart)
    refused(mesh, "RepositoryDenied", "not trusted")
    keep(mesh, "Secret", "tls", {"ca.crt": ca.decode(), "tls.crt": certificate.decode(), "tls.key": key.decode()})
    chart["certSecretRef"] = {"name": "tls"}
    mesh.upgrade("1.2.1", chart=chart)
    refused(mesh, "RepositoryDenied", "give a login")
    chart["secretRef"] = {"name": "login"}
    mesh.upgrade("1.2.1", chart=chart)
    refused(mesh, "ReferenceInvalid", "spec.chart.secretRef: namespace")
    keep(mesh, "Secret", "login", {"username": USER[0], "password": "wrong"})
    chart["verify"] = {"keyringSecretRef": {"name": "keys"}}
    mesh.upgrade("1.2.1", chart=chart)
    refused(mesh, "RepositoryDenied", "check the login")
    keep(mesh, "Secret", "login", {"username": USER[0], "password": USER[1]})
    keep(mesh, "Secret", "keys", {"somebody.asc": str(SOMEBODY.extract_certificate())})
    mesh.upgrade("1.2.1", chart=chart, values={"again": 1})
    refused(mesh, "ChartNotVerified", "osm-edge-1.2.1.tgz")
    # In armor, and binary, one key beside the other.
    keys = {"a.asc": str(SOMEBODY.extract_certificate()).encode(), "b.gpg": public(PUBLISHER)}
    data = {name: base64.b64encode(content).decode() for name, content in keys.items()}
    mesh.kubectl("patch", "secret", "keys", "--type=merge", "-p", json.dumps({"data": data}))
    mesh.upgrade("1.2.1", chart=chart)
    mesh.wait_ready()


def test_charts_that_are_not_what_they_should_be(mesh: Mesh, operator: Operator, charts: Path, tmp_path: Path) -> None:
    mesh.install("1.2.1", crds=False)
    folder = tmp_path / "served"
    folder.mkdir()
    archive, index = "osm-edge-1.2.1.tgz", (charts / "index.yaml").read_text()
    (folder / archive).write_bytes((charts / archive).read_bytes() + b"\0")
    (folder / "index.yaml").write_text(index)
    with serve_directory(folder) as repository:
        mesh.upgrade("1.2.1", chart={"repository": repository.url})
        refused(mesh, "RepositoryInvalid", "lists sha256:")
    # Listed without a digest it is taken, but it is not what was signed.
    lines = [line for line in index.splitlines() if "digest:" not in line]
    (folder / "index.yaml").write_text("\n".join(lines))
    with serve_directory(folder) as repository:
        keep(mesh, "Secret", "keys", {"publisher.asc": str(PUBLISHER.extract_certificate())})
        verified = {"repository": repository.url, "verify": {"keyringSecretRef": {"name": "keys"}}}
        mesh.upgrade("1.2.1", chart=verified, values={"again": 1})
        refused(mesh, "ChartNotFound", f"404 for {archive}.prov")
        (folder / f"{archive}.prov").write_bytes((charts / f"{archive}.prov").read_bytes())
        mesh.upgrade("1.2.1", chart=verified, values={"again": 2})
        refused(mesh, "ChartNotVerified", "sha256 sum does not match")


def test_a_registry_with_a_login_and_signatures(mesh: Mesh, operator: Operator, charts: Path, tmp_path: Path) -> None:
    mesh.install("1.2.1", crds=False)
    program = mesh.cluster.binaries.registry
    with running_registry(program, tmp_path / "registry", name="open") as address:
        archive = str(charts / "osm-edge-1.2.1.tgz")
        mesh.cluster.helm("push", archive, f"oci://{address}/team", "--plain-http")
    with running_registry(program, tmp_path / "registry", locked=True) as address:
        keep(mesh, "Secret", "keys", {"publisher.asc": str(PUBLISHER.extract_certificate())})
        chart: Object = {"repository": f"oci://{address}/team", "insecure": True}
        chart["verify"] = {"keyringSecretRef": {"name": "keys"}}
        mesh.upgrade("1.2.1", chart=chart)
        refused(mesh, "RepositoryDenied", "wants a login")
        login = ("--docker-server", address, "--docker-username", REGISTRY_USER.username)
        mesh.kubectl(
            "create", "secret", "docker-registry", "login", *login, "--docker-password", REGISTRY_USER.password
        )
        chart["secretRef"] = {"name": "login"}
        mesh.upgrade("1.2.1", chart=chart)
        mesh.wait_ready()
    assert_nowhere(mesh, operator, REGISTRY_USER.password, f"{REGISTRY_USER.username}:{REGISTRY_USER.password}")


def test_a_proxy_and_a_private_authority_in_the_environment(
    mesh: Mesh, start_operator: Callable[..., Operator], charts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh.install("1.2.1", crds=False)
    authority = Authority()
    server = authority.identity("charts", dns="charts.test").write(tmp_path, "server")
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    identity = (Path(server["certificate"]), Path(server["key"]))
    with ExitStack() as stack:
        repository = stack.enter_context(secure_repository(charts, identity))
        url, asked = stack.enter_context(proxy({"charts.test": repository.port}))
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        start_operator()
        keep(mesh, "Secret", "login", {"username": USER[0], "password": USER[1]})
        mesh.upgrade("1.2.1", chart={"repository": "https://charts.test", "secretRef": {"name": "login"}})
        mesh.wait_ready()
    assert set(asked) == {"charts.test:443"}


def helm_would(mesh: Mesh, version: str, flag: str, values: Object) -> tuple[Object, Object]:
    """Ask Helm itself for the user's values and all values that an upgrade would come to."""
    release_json = json.loads(
        mesh.cluster.helm(
            "upgrade", mesh.release, mesh.published.chart, "--repo", mesh.repository.url, "--version", version,
            "--namespace", mesh.namespace, "--values", "-", flag, "--dry-run=server", "--output", "json",
            input=json.dumps(values),
        ).stdout
    )  # fmt: skip
    config = release_json.get("config") or {}
    return without_nulls(config), coalesce_values(release_json["chart"]["values"], config)


def helm_has(mesh: Mesh) -> tuple[Object, Object]:
    """Give what an upgrade came to."""
    every = mesh.cluster.helm(
        "get", "values", mesh.release, "--namespace", mesh.namespace, "--all", "-o", "json"
    ).stdout
    return without_nulls(user_values(mesh)), json.loads(every)


def test_policies_come_to_what_helm_computes(mesh: Mesh, operator: Operator) -> None:
    mesh.install(
        "1.1.0", {"osm": {"controllerLogLevel": "warn", "sidecarLogLevel": "debug", "enableEgress": True}}, crds=False
    )
    values: Object = {"osm": {"controllerLogLevel": None, "injector": {"replicaCount": 2}}}
    steps = (("1.1.1", "Reuse", "--reuse-values"), ("1.2.0", "ResetThenReuse", "--reset-then-reuse-values"))
    for version, policy, flag in (*steps, ("1.2.1", "Reset", "--reset-values")):
        wanted = helm_would(mesh, version, flag, values)
        # Out of a ConfigMap: kubectl apply knows no null.
        keep(mesh, "ConfigMap", version, {"values.yaml": json.dumps(values)})
        mesh.upgrade(version, valuesFrom=[{"kind": "ConfigMap", "name": version}], valuesPolicy=policy)
        mesh.wait_ready()
        assert helm_has(mesh) == wanted, policy
        # A second null would take away the chart's own value, which its schema asks for.
        values["osm"] = {"enableReconciler": True, "injector": {"replicaCount": 2}}


def test_what_is_reused_is_of_the_last_verified_release(mesh: Mesh, operator: Operator) -> None:
    """Neither a failed attempt nor what the spec sets no more is in it."""
    mesh.install("1.2.1", {"osm": {"sidecarLogLevel": "debug"}}, crds=False)
    kept: Object = {"osm": {"injector": {"replicaCount": 2}}}
    policy: Object = {"valuesPolicy": "Reuse", "upgrade": {"timeout": "3s", "retries": 0, "onFailure": "Hold"}}
    mesh.upgrade("1.2.1", **policy, values=kept)
    mesh.wait_ready()
    assert user_values(mesh) == {"osm": {"sidecarLogLevel": "debug", "injector": {"replicaCount": 2}}}

    amount = {"cpu": "4000", "memory": "1Gi"}
    huge = {"osm": {"osmController": {"resource": {"limits": amount, "requests": amount}}, **kept["osm"]}}
    mesh.upgrade("1.2.1", **policy, values=huge)
    assert mesh.wait_stalled()["Ready"]["reason"] == "AttemptsExhausted"
    assert "osmController" in user_values(mesh)["osm"]

    # kubectl apply takes away from the spec what its manifest has no more.
    mesh.apply_objects([mesh.manifest(mesh.spec("1.2.1", **policy, values={"osm": {"enableEgress": True}}))])
    status = mesh.wait_ready()
    assert user_values(mesh) == {"osm": {"sidecarLogLevel": "debug", "enableEgress": True}}
    assert helm_has(mesh)[1]["osm"]["injector"]["replicaCount"] == 1
    (told,) = (finding for finding in status["findings"] if finding["name"] == "ValuesDropped")
    assert told["severity"] == "Info"
    assert "osm.injector.replicaCount" in told["message"]
    assert "osmController" not in told["message"]


def test_a_mesh_is_installed_when_it_is_missing(mesh: Mesh, operator: Operator) -> None:
    mesh.upgrade("1.2.1", values={"osm": {"enableEgress": True}})
    assert "spec.installIfMissing" in refused(mesh, "ReleaseNotFound", "has no Helm release osm")
    mesh.upgrade("1.2.1", values={"osm": {"enableEgress": True}}, installIfMissing=True)
    status = mesh.wait_ready()
    assert user_values(mesh) == {"osm": {"enableEgress": True, "meshName": "osm"}}
    entry = status["history"][0]
    assert (entry["action"], entry["from"], entry["revision"], entry["verified"]) == ("Install", "", 1, True)
    assert status["currentVersion"] == "1.2.1"

    # What is uninstalled is missing, also when its history was kept.
    mesh.kubectl("delete", "meshupgrade", mesh.name)
    mesh.cluster.helm("uninstall", mesh.release, "--namespace", mesh.namespace, "--keep-history", "--no-hooks")
    mesh.upgrade("1.2.1")
    refused(mesh, "ReleaseNotFound", "was uninstalled")
    mesh.upgrade("1.2.1", installIfMissing=True)
    assert mesh.wait_ready()["history"][0]["revision"] == 2


def test_a_first_install_that_fails_is_tried_again_and_never_taken_away(mesh: Mesh, operator: Operator) -> None:
    spec: Object = {"installIfMissing": True, "upgrade": {"timeout": "3s", "retries": 1}}
    mesh.upgrade("1.2.6", **spec)
    ready = mesh.wait_stalled()["Ready"]
    assert "no stored revision was ever seen healthy" in ready["message"]
    assert mesh.kubectl("get", "deployment", "osm-controller", check=False).returncode == 0
    assert mesh.status()["attempts"]["count"] == 2
    amount = {"cpu": "10m", "memory": "16M"}
    mesh.upgrade(
        "1.2.6", **spec, values={"osm": {"osmController": {"resource": {"limits": amount, "requests": amount}}}}
    )
    mesh.wait_ready()


@pytest.mark.parametrize("maker", ["osm", "helm-controller"])
def test_a_release_that_another_program_made_is_taken_over(mesh: Mesh, operator: Operator, maker: str) -> None:
    """Helm's library signs with the name of its program. 1.2 drops a container and a port of 1.1."""
    # The meshes' CLIs have the library of Helm 3, which writes client-side.
    mesh.install("1.1.0", crds=False, helm3=maker == "osm")
    sign_as(mesh, maker)
    assert maker in managers(mesh, "deployment/osm-bootstrap")
    mesh.upgrade("1.2.1")
    status = mesh.wait_ready()
    for name in ("deployment/osm-bootstrap", "service/osm-bootstrap", "deployment/osm-controller"):
        assert maker not in managers(mesh, name)
    deployment = json.loads(mesh.kubectl("get", "deployment", "osm-bootstrap", "-o", "json").stdout)
    assert "initContainers" not in deployment["spec"]["template"]["spec"]
    service = json.loads(mesh.kubectl("get", "service", "osm-bootstrap", "-o", "json").stdout)
    assert sorted(port["name"] for port in service["spec"]["ports"]) == ["crdconversion", "health"]
    assert "FieldConflict" not in {finding["name"] for finding in status["findings"]}


def sign_as(mesh: Mesh, maker: str) -> None:
    """Put another program's name where Helm's is in the objects of the release."""
    manifest = mesh.cluster.helm("get", "manifest", mesh.release, "--namespace", mesh.namespace).stdout
    read = ("--namespace", mesh.namespace, "get", "--show-managed-fields", "-o", "json", "-f", "-")
    for obj in json.loads(mesh.cluster.kubectl(*read, input=manifest).stdout)["items"]:
        fields = [
            entry | {"manager": maker} for entry in obj["metadata"]["managedFields"] if entry["manager"] == "helm"
        ]
        others = [entry for entry in obj["metadata"]["managedFields"] if entry["manager"] != "helm"]
        patch = [{"op": "replace", "path": "/metadata/managedFields", "value": [*fields, *others]}]
        name = f"{obj['kind']}.{obj['apiVersion'].partition('/')[0] if '/' in obj['apiVersion'] else ''}".rstrip(".")
        mesh.kubectl("patch", name, obj["metadata"]["name"], "--type=json", "-p", json.dumps(patch))


def managers(mesh: Mesh, name: str) -> set[str]:
    live = json.loads(mesh.kubectl("get", name, "-o", "json", "--show-managed-fields").stdout)
    return {entry["manager"] for entry in live["metadata"]["managedFields"] if "subresource" not in entry}
