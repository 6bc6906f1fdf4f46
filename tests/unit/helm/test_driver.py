"""What the driver passes to Helm: arguments, environment and values."""

import json
import os
import stat
import tarfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration

from meshupgrade.domain.secrets import Secrets
from meshupgrade.helm.driver import Helm, UpgradeRequest
from meshupgrade.helm.errors import HelmError
from meshupgrade.kube.access import ClusterAccess
from tests.unit.helm.charts_on_disk import make_archive

REQUEST = UpgradeRequest(
    release="osm",
    namespace="osm-system",
    chart=Path("chart.tgz"),
    values={"password": "S3CR3T"},
    timeout=timedelta(minutes=5),
)


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    return Helm("helm", ClusterAccess(Configuration(), None, None), tmp_path)


def program(folder: Path, script: str) -> str:
    """Make a program that stands for Helm."""
    path = folder / "helm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_an_upgrade_is_server_side_complete_and_never_rolls_back_by_itself(helm: Helm) -> None:
    with ExitStack() as stack:
        argv, (values,) = helm._upgrade_argv(REQUEST, stack)
    assert argv == [
        "upgrade", "osm", "chart.tgz", "--namespace", "osm-system", "--values", f"/dev/fd/{values}", "--reset-values",
        "--server-side=true", "--force-conflicts", "--disable-openapi-validation", "--timeout", "300s",
        "--output", "json",
    ]  # fmt: skip


def test_an_install_leaves_the_crds_to_their_phase(helm: Helm) -> None:
    with ExitStack() as stack:
        argv, _ = helm._upgrade_argv(replace(REQUEST, install=True), stack)
    assert argv[-2:] == ["--install", "--skip-crds"]


def test_other_defaults_go_into_a_copy_of_the_chart(helm: Helm, tmp_path: Path) -> None:
    chart = make_archive(tmp_path / "c.tgz", {"osm/values.yaml": "a: 1"})
    with ExitStack() as stack:
        argv, (copy, _) = helm._upgrade_argv(replace(REQUEST, chart=chart, defaults={"a": 2}), stack)
        assert argv[2] == f"/dev/fd/{copy}"
        with tarfile.open(argv[2]) as archive:
            values = archive.extractfile("osm/values.yaml")
            assert values is not None
            assert json.load(values) == {"a": 2}


def test_helm_gets_a_private_home_and_nothing_of_ours(
    helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    for name in ("KUBECONFIG", "HELM_DRIVER", "HELM_NAMESPACE", "HELM_KUBETOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not for Helm")
    environment = helm._environment()
    assert "not for Helm" not in environment.values()
    assert environment["PATH"] == "/bin"
    assert environment["HTTPS_PROXY"] == "http://proxy.example"
    assert {name for name in environment if name.startswith("HELM_")} == {
        "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME",
    }  # fmt: skip
    assert all(Path(environment[name]).parent == tmp_path for name in environment if name.startswith("HELM_"))
    assert environment["HOME"] == str(tmp_path)


def test_values_have_no_name_on_disk_and_are_readable_by_us_alone(helm: Helm, tmp_path: Path) -> None:
    with ExitStack() as stack:
        argv, (descriptor,) = helm._upgrade_argv(REQUEST, stack)
        assert json.loads(Path(argv[6]).read_text()) == {"password": "S3CR3T"}
        status = os.fstat(descriptor)
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_nlink == 0
        assert list(tmp_path.iterdir()) == []
        assert "S3CR3T" not in " ".join(argv)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


async def test_the_child_reads_them_and_nothing_is_in_its_arguments_or_environment(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = (
        f"cat /proc/$$/cmdline /proc/$$/environ >{seen}\n"
        'while [ "$1" != --values ]; do shift; done\n'
        'cat "$2" >&2; exit 1'
    )
    helm = Helm(program(tmp_path, script), ClusterAccess(Configuration(), None, None), tmp_path)
    with pytest.raises(HelmError) as caught:
        await helm.dry_run(REQUEST)
    assert "S3CR3T" in str(caught.value), "the child read the file"
    assert b"upgrade" in seen.read_bytes()
    assert b"S3CR3T" not in seen.read_bytes()


async def test_what_helm_says_is_scrubbed_before_it_is_cut(tmp_path: Path) -> None:
    secrets = Secrets()
    secrets.keep("mesh", ["correct-horse-battery"])
    script = "printf 'Error: %01490d correct-horse-battery' 0 >&2; exit 1"
    helm = Helm(program(tmp_path, script), ClusterAccess(Configuration(), None, None), tmp_path, secrets)
    with pytest.raises(HelmError) as caught:
        await helm.dry_run(REQUEST)
    assert "***" in str(caught.value)
    assert "correct" not in str(caught.value)


def test_values_are_not_in_what_a_log_would_show_of_a_request() -> None:
    assert "S3CR3T" not in repr(replace(REQUEST, defaults={"password": "S3CR3T"}))
