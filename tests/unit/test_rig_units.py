"""The rig's helpers that need no cluster."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import binaries, go_build
from tests.cluster.bootstrap_facts import MESHES, Mode, mesh_of, newest_version, reconciles
from tests.cluster.crd_installer import merged_versions
from tests.cluster.errors import ChildFailed, GoUnavailable, PortTaken
from tests.cluster.go_build import GoModule, parse_version
from tests.cluster.kwok import write_config
from tests.cluster.ports import free_ports, with_free_ports
from tests.cluster.process import Child
from tests.cluster.process_identity import start_time, still_runs
from tests.cluster.workdirs import temporary_workdir

OSM, FSM = MESHES


def pod(app: str = "osm-bootstrap", version: str = "v1.2.3", *, init: str = "", args: tuple[str, ...] = ()) -> Any:
    """A bootstrap Pod with only what the facts are read from."""
    spec: dict[str, Any] = {"containers": [{"name": app, "image": "a:1", "args": list(args)}]}
    if init:
        spec["initContainers"] = [{"name": init, "image": "b:1"}]
    return {"metadata": {"labels": {"app": app, "app.kubernetes.io/version": version}}, "spec": spec}


def test_the_pinned_modules_name_their_programs_and_versions() -> None:
    assert set(GoModule("kubernetes").tools()) == {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
    }
    assert set(GoModule("helm").tools()) == {"helm", "kwok"}
    assert set(GoModule("registry").tools()) == {"registry"}
    version = GoModule("kubernetes").required("k8s.io/kubernetes")
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in GoModule("kubernetes").flags()[-1]


def test_a_changed_pin_is_another_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MESHUPGRADE_RIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(go_build, "MODULES", tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "go.sum").write_text("")
    (tmp_path / "one" / "go.mod").write_text("go 1.26.0\ntool example.org/a\nrequire example.org/a v1.0.0\n")
    before = GoModule("one").cache()
    (tmp_path / "one" / "go.mod").write_text("go 1.26.0\ntool example.org/a\nrequire example.org/a v1.0.1\n")
    assert GoModule("one").cache() != before
    assert before.parent == tmp_path / "cache"


@pytest.mark.parametrize(
    ("text", "version"), [("go1.26.8", (1, 26, 8)), ("v4.3", (4, 3)), ("v1.37.2-rc.1", (1, 37, 2))]
)
def test_versions_are_read(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("go", ["", "#!/bin/sh\necho go1.20.1\n", "#!/bin/sh\nexit 1\n"])
def test_without_a_usable_go_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, go: str) -> None:
    monkeypatch.setenv("MESHUPGRADE_RIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    if go:
        (tmp_path / "go").write_text(go)
        (tmp_path / "go").chmod(0o755)
    with pytest.raises(GoUnavailable) as error:
        binaries.ensure_binaries(lambda line: None)
    needed = ".".join(map(str, GoModule("kubernetes").go))
    for hint in (f"Go {needed}", "KUBEBUILDER_ASSETS", "PATH", "CLUSTER=existing", "KUBECONFIG", "Missing: "):
        assert hint in str(error.value)


def test_without_go_the_users_own_programs_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assets, path, stages = tmp_path / "assets", tmp_path / "path", tmp_path / "stages"
    for folder in (assets, path, stages):
        folder.mkdir()
    for name in binaries.ALL:
        program = (assets if name in ("etcd", "kube-apiserver") else path) / name
        program.write_text("#!/bin/sh\necho v4.99.0\n")
        program.chmod(0o755)
    monkeypatch.setenv("MESHUPGRADE_RIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{path}:/bin")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    monkeypatch.setattr(go_build, "find_go", lambda module: None)
    monkeypatch.setenv(binaries.STAGES_VARIABLE, str(stages))
    found = binaries.ensure_binaries(lambda line: None)
    assert found.etcd == assets / "etcd"
    assert found.kube_scheduler == path / "kube-scheduler"
    assert found.helm == path / "helm"
    assert found.kwok_stages == stages


def test_a_port_that_is_lost_is_not_tried_again() -> None:
    tried: list[int] = []

    def start(port: int) -> str:
        tried.append(port)
        if len(tried) < 3:
            raise PortTaken("lost")
        return "started"

    assert with_free_ports(1, start) == "started"
    assert len(tried) == 3
    assert len(set(free_ports(20))) == 20


def test_a_child_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child.start("talker", [sys.executable, "-c", "print('the reason'); exit(3)"], log)
    with pytest.raises(ChildFailed, match=r"talker ended with code 3(?s:.)*the reason"):
        child.wait_until(lambda: False, 10)


def test_a_child_that_lost_its_port_says_so(tmp_path: Path) -> None:
    child = Child.start("server", [sys.executable, "-c", "print('bind: address already in use')"], tmp_path / "log")
    with pytest.raises(PortTaken):
        child.wait_until(lambda: False, 10)


def test_a_child_that_ignores_sigterm_is_killed_and_reaped(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    child = Child.start("stubborn", [sys.executable, "-c", code], log)
    child.wait_until(lambda: "up" in log.read_text(), 10)
    with pytest.raises(ChildFailed, match="not ready within"):
        child.wait_until(lambda: False, 0.1)
    child.stop(grace=0.1)
    assert child.exit_code() == -9
    assert start_time(child.pid) is None
    child.stop()


def test_a_process_is_known_by_its_start_time() -> None:
    started = start_time(os.getpid())
    assert started is not None
    assert still_runs(os.getpid(), started)
    assert not still_runs(os.getpid(), "another time")


def test_folders_of_dead_processes_are_swept(tmp_path: Path) -> None:
    dead = tmp_path / "meshupgrade-rig-999999999-1-abc"
    foreign = tmp_path / "meshupgrade-rig-notes"
    dead.mkdir()
    foreign.mkdir()
    mine = temporary_workdir(tmp_path)
    second = temporary_workdir(tmp_path)
    assert set(tmp_path.iterdir()) == {foreign, mine, second}


def test_kwok_leaves_gated_pods_alone_but_deletes_them(tmp_path: Path) -> None:
    import yaml

    def stage(name: str, kind: str, following: dict[str, Any]) -> dict[str, Any]:
        spec = {"resourceRef": {"kind": kind}, "selector": {"matchExpressions": []}, "next": following}
        return {"kind": "Stage", "metadata": {"name": name}, "spec": spec}

    stages = [stage("ready", "Pod", {}), stage("gone", "Pod", {"delete": True}), stage("node", "Node", {})]
    source = tmp_path / "stages"
    source.mkdir()
    (source / "all.yaml").write_text(yaml.safe_dump_all([*stages, {"kind": "Kustomization"}]))
    written = list(yaml.safe_load_all(write_config(source, tmp_path / "kwok.yaml").read_text()))
    gated = {one["metadata"]["name"]: bool(one["spec"]["selector"]["matchExpressions"]) for one in written}
    assert gated == {"ready": True, "gone": False, "node": False}


@pytest.mark.parametrize(
    ("bootstrap", "mode"),
    [
        (pod(version="v1.1.1", init="init-osm-bootstrap"), Mode.APPLY),
        (pod(version="v1.2.4"), Mode.REPLACE),
        (pod("fsm-bootstrap", "v1.3.3"), Mode.REPLACE),
        (pod("fsm-bootstrap", "v1.3.4"), Mode.MERGE),
        (pod("fsm-bootstrap", "v1.5.0-alpha.9"), Mode.MERGE),
        (pod("fsm-bootstrap", "latest"), Mode.REPLACE),
    ],
)
def test_what_a_release_does_with_existing_crds(bootstrap: Any, mode: Mode) -> None:
    assert mesh_of(bootstrap["metadata"]["labels"]["app"]).mode(bootstrap) is mode


@pytest.mark.parametrize(
    ("version", "label"), [("v1.2.3", "true"), ("v1.2.4", "v1.2.4"), ("v1.3.0", "true"), ("v1.3.0-alpha.1", "true")]
)
def test_the_reconcile_label_by_release(version: str, label: str) -> None:
    assert OSM.label(pod(version=version), True) == label


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ((), False),
        (("--enable-reconciler=true",), True),
        (("--enable-reconciler",), True),
        (("--enable-reconciler=false",), False),
        (("--verbosity", "info", "--enable-reconciler=True"), True),
    ],
)
def test_whether_a_bootstrap_reconciles(args: tuple[str, ...], wanted: bool) -> None:
    assert reconciles(OSM, pod(args=args)) is wanted


def test_the_newest_api_version() -> None:
    ascending = ["v1alpha1", "v1alpha2", "v1alpha10", "v1beta1", "v1", "v2"]
    for at in range(1, len(ascending)):
        assert newest_version(reversed(ascending[: at + 1])) == ascending[at]


def test_merging_keeps_dropped_versions_served_and_not_stored() -> None:
    old = [{"name": "v1", "served": True, "storage": True, "schema": 1}]
    new = [{"name": "v2", "served": True, "storage": True, "schema": 2}]
    assert merged_versions(old, new) == [new[0], {**old[0], "storage": False}]
    assert merged_versions(new, new) == new
