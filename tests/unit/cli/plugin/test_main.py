"""The command line, as far as it needs no cluster: help, wrong usage, and clusters that are not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from meshupgrade.cli.plugin.main import app

PROGRAM = Path(sys.executable).with_name("kubectl-meshupgrade")
COMPLETER = Path(sys.executable).with_name("kubectl_complete-meshupgrade")
COMMANDS = ("status", "plan", "approve", "history", "rollback", "versions", "why", "report")

Answer = subprocess.CompletedProcess[str]


def run(home: Path, *arguments: str, program: Path = PROGRAM, **environment: str) -> Answer:
    passed = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"} | environment
    return subprocess.run([program, *arguments], capture_output=True, text=True, env=passed, check=False, timeout=60)


def kubeconfig(folder: Path, server: str = "https://127.0.0.1:1") -> Path:
    path = folder / "config"
    context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "mesh"}}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [context],
                "current-context": "c",
            }
        )
    )
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_the_options_of_kubectl(command: str) -> None:
    answer = CliRunner().invoke(app, [command, "--help"])
    assert answer.exit_code == 0
    assert f"\n    kubectl meshupgrade {command}" in answer.stdout
    for option in ("-n, --namespace", "--kubeconfig", "--context"):
        assert option in answer.stdout
    assert "\x1b" not in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "--colour"], "No such option"),
        (["stauts"], "No such command"),
        (["plan", "-o", "xml"], "xml"),
        (["status", "-A", "-n", "x"], "either --namespace or --all-namespaces"),
        (["plan", "-f", "x.yaml", "-A"], "give either -f"),
        (["status", "--kubeconfig", "nowhere"], "there is no kubeconfig nowhere"),
        (["status"], "no way to a cluster"),
    ],
)
def test_a_wrong_usage_is_told_and_never_looks_like_changes(tmp_path: Path, arguments: list[str], message: str) -> None:
    answer = run(tmp_path, *arguments)
    assert answer.returncode == 1, answer.stderr
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    answer = run(tmp_path, "status", KUBECONFIG=str(kubeconfig(tmp_path)))
    assert answer.returncode == 1
    assert "error: the API server does not answer" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    answer = run(tmp_path, "why", "--context", "other", KUBECONFIG=str(kubeconfig(tmp_path)))
    assert answer.returncode == 1
    assert "no way to a cluster" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("content", ["", "no: [yaml", "[]", "a string", "clusters: 7"])
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    answer = run(tmp_path, "status", "--kubeconfig", str(path))
    assert answer.returncode == 1
    assert "no way to a cluster" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_what_could_come_next_is_told_to_kubectl(tmp_path: Path) -> None:
    answer = run(tmp_path, "ro", program=COMPLETER)
    assert answer.stdout.split() == ["rollback", ":4"]
    options = run(tmp_path, "status", "--wa", program=COMPLETER)
    assert options.stdout.split() == ["--watch", ":4"]
    everything = run(tmp_path, "", program=COMPLETER)
    assert set(COMMANDS) < set(everything.stdout.split())


def test_a_name_is_completed_in_silence_when_there_is_no_cluster(tmp_path: Path) -> None:
    answer = run(tmp_path, "status", "", program=COMPLETER, KUBECONFIG=str(kubeconfig(tmp_path)))
    assert (answer.stdout.split(), answer.stderr) == ([":4"], "")
