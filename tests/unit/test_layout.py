"""The layout: what no linter here looks at."""

import ast
import operator
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshupgrade.api.v1alpha1.spec import DistributionName

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "meshupgrade"
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {str(name) for name in DistributionName} | {name.name for name in DistributionName}

# In two parts each, so that this file does not hold what it forbids.
FORBIDDEN = tuple(
    first + rest
    for first, rest in (
        ("pypi", ".org"),
        ("files.python", "hosted.org"),
        ("proxy.golang", ".org"),
        ("sum.golang", ".org"),
        ("registry.npm", "js.org"),
        ("/wo", "rk/"),
        ("/ro", "ot/"),
    )
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> Iterator[str]:
    """Yield the first part of the name of each module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def constants(node: ast.AST) -> Iterator[str]:
    """Yield the texts and the members of enumerations that an expression names."""
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
        elif isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name):
            yield child.attr if child.value.id == DistributionName.__name__ else ""


def decisions_by_distribution(tree: ast.AST) -> list[int]:
    """Give the lines that compare something with, or match on, the name of a distribution."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare | ast.MatchValue) and NAMES & set(constants(node))
    ]


def test_the_source_root_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_operator_is_that_of_the_standard_library() -> None:
    assert Path(operator.__file__).parent == Path(sysconfig.get_path("stdlib"))
    assert operator.itemgetter(0)("a") == "a"


def test_only_the_handlers_import_kopf() -> None:
    assert [name_of(path) for path in MODULES if "kopf" in imported(path)] == ["operator/meshupgrade/handlers.py"]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.relative_to(PACKAGE).parts[0] not in ("distributions", "api")],
    ids=name_of,
)
def test_no_code_decides_by_the_name_of_a_distribution(path: Path) -> None:
    assert decisions_by_distribution(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "if distribution == 'osm': pass",
        "if 'fsm' == work.distribution.name: pass",
        "if name != DistributionName.OSM_EDGE: pass",
        "x = 1 if name in ('osm', 'osm-edge') else 2",
        "match name:\n    case 'fsm':\n        pass",
        "match name:\n    case DistributionName.FSM:\n        pass",
    ],
)
def test_such_a_decision_would_be_seen(code: str) -> None:
    assert decisions_by_distribution(ast.parse(code)) != []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_files_name_no_package_registry_and_no_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(paths) > 100
    found = [
        f"{name_of(path)}: {word}"
        for path in paths
        if path.is_file()
        for word in FORBIDDEN
        if word.encode() in path.read_bytes()
    ]
    assert found == []
