"""What the driver passes to Helm: arguments, environment and values."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration

from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.helm.driver import Helm, UpgradeRequest
from meshupgrade.kube.access import ClusterAccess

REQUEST = UpgradeRequest(
    release="osm",
    namespace="osm-system",
    chart=Path("chart.tgz"),
    values={"password": "S3CR3T"},
    policy=ValuesPolicy.RESET,
    timeout=timedelta(minutes=5),
)


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    return Helm("helm", ClusterAccess(Configuration(), None, None), tmp_path)


@pytest.mark.parametrize(
    ("policy", "flag"),
    [
        (ValuesPolicy.RESET, "--reset-values"),
        (ValuesPolicy.REUSE, "--reuse-values"),
        (ValuesPolicy.RESET_THEN_REUSE, "--reset-then-reuse-values"),
    ],
)
def test_an_upgrade_is_server_side_and_never_rolls_back_by_itself(helm: Helm, policy: ValuesPolicy, flag: str) -> None:
    request = UpgradeRequest(**(vars(REQUEST) | {"policy": policy}))
    argv = helm._upgrade_argv(request, Path("values.json"))
    assert argv == [
        "upgrade", "osm", "chart.tgz", "--namespace", "osm-system", "--values", "values.json", flag,
        "--server-side=true", "--force-conflicts", "--timeout", "300s", "--output", "json",
    ]  # fmt: skip


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


def test_values_are_readable_by_us_alone_and_gone_afterwards(helm: Helm, tmp_path: Path) -> None:
    with helm._values_file(REQUEST.values) as path:
        assert json.loads(path.read_text()) == {"password": "S3CR3T"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_values_are_gone_after_an_error_too(helm: Helm, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), helm._values_file(REQUEST.values):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
