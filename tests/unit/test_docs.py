"""The docs name everything that a user can meet, and nothing that is not there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import RISKS, FindingName, Severity
from meshupgrade.api.v1alpha1.schema import structural_schema
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.api.v1alpha1.status import MeshUpgradeStatus

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
GENERATED = DOCS / "api-reference.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

page_names = [str(page.relative_to(ROOT)) for page in PAGES]


def prose(page: Path) -> str:
    """Give the text without its code blocks."""
    return BLOCK.sub("", page.read_text())


def blocks(page: Path, kind: str) -> list[str]:
    """Give the code blocks of a kind."""
    return [body for found, body in BLOCK.findall(page.read_text()) if found == kind]


def headings(page: Path, level: str = "#+") -> list[str]:
    return re.findall(rf"^{level} (.+)$", prose(page), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Give the anchors of the headings as GitHub makes them: lower case, no punctuation, a dash for each space."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def table_keys(page: Path) -> set[str]:
    """Give what stands in backticks in the first column of the tables of a page."""
    return set(re.findall(r"^\| `(\w+)` \|", prose(page), re.MULTILINE))


def sections(page: Path) -> dict[str, str]:
    """Give the text below each heading of the third level."""
    parts = re.split(r"^### (.+)\n|^## .+\n", prose(page), flags=re.MULTILINE)
    return {name: text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name}


def test_every_finding_has_its_section() -> None:
    assert set(sections(DOCS / "findings.md")) == set(FindingName)


@pytest.mark.parametrize("name", FindingName)
def test_a_finding_says_its_severity_and_what_to_do(name: FindingName) -> None:
    text = sections(DOCS / "findings.md")[name]
    first, *rest = text.strip().split("\n\n")
    stated = re.match(r"Severity: \*\*(\w+)\*\*\. ", first)
    assert stated is not None
    assert (Severity(stated[1]) is Severity.RISK) == (name in RISKS)
    assert rest, "what to do is missing"


def test_every_reason_is_explained() -> None:
    assert table_keys(DOCS / "troubleshooting.md") == set(Reason)


def test_every_condition_is_explained() -> None:
    explained = re.findall(r"^- `(\w+)`: ", prose(DOCS / "conditions.md"), re.MULTILINE)
    assert explained == list(ConditionType), "in the order in which the status shows them"


@pytest.mark.parametrize("page", PAGES, ids=page_names)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", [page for page in PAGES if page != GENERATED], ids=lambda page: page.name)
def test_named_fields_exist(page: Path) -> None:
    schema = {"spec": structural_schema(MeshUpgradeSpec), "status": structural_schema(MeshUpgradeStatus)}
    for path in re.findall(r"`((?:spec|status)\.[\w.]+)`", prose(page)):
        assert has_field(schema, path.split(".")), path


def has_field(schema: dict[str, Any], path: list[str]) -> bool:
    head, *rest = path
    if head not in schema:
        return False
    child = schema[head]
    if not rest or child.get("x-kubernetes-preserve-unknown-fields"):
        return True
    return has_field(child.get("properties") or child.get("items", {}).get("properties") or {}, rest)


@pytest.mark.parametrize("page", PAGES, ids=page_names)
def test_code_blocks_are_of_a_kind_that_is_tested(page: Path) -> None:
    kinds = {kind for kind, _ in BLOCK.findall(page.read_text())}
    assert kinds <= {"sh", "yaml", "text"}, "sh is run, yaml is applied, text is output"
    for body in blocks(page, "yaml"):
        assert yaml.safe_load(body)["kind"] in ("MeshUpgrade", "Kustomization")


def make_targets() -> Iterator[str]:
    for page in PAGES:
        yield from re.findall(r"^make ([\w-]+)", "\n".join(blocks(page, "sh")), re.MULTILINE)
        yield from re.findall(r"`make ([\w-]+)`", prose(page))


@pytest.mark.parametrize("target", sorted(set(make_targets())))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_hooks_run_what_is_installed_and_fetch_nothing() -> None:
    config = ROOT / ".pre-commit-config.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(config)], check=True)
    for repository in yaml.safe_load(config.read_text())["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            program = hook["entry"].split()[0]
            assert program.startswith(".venv/bin/")
            assert Path(sys.executable).with_name(Path(program).name).exists(), program
