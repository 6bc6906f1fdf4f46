"""The command line, as far as it needs no cluster."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from meshupgrade import __version__
from meshupgrade.cli.main import app

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("command", "file"),
    [("crd", "crds/meshupgrade.io_meshupgrades.yaml"), ("reference", "docs/api-reference.md")],
)
def test_what_is_checked_in_is_what_is_printed(command: str, file: str) -> None:
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 0
    assert result.stdout == (ROOT / file).read_text(encoding="utf-8")


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["version"])
    assert (result.exit_code, result.stdout) == (0, f"{__version__}\n")


def test_a_missing_helm_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["run", "--helm", str(tmp_path / "no-helm")], env={"NO_COLOR": "1", "COLUMNS": "400"}
    )
    assert result.exit_code == 2
    assert "no-helm" in result.output
    assert "install Helm 4" in result.output


def test_there_is_at_least_one_worker() -> None:
    assert CliRunner().invoke(app, ["run", "--workers", "0"]).exit_code == 2
