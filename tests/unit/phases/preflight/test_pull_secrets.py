"""Which imagePullSecrets a node would pull the bootstrap's image with."""

from typing import Any

import pytest

from meshupgrade.phases.preflight.pull_secrets import pull_secret_names
from tests.unit.phases.works import make_work


def secrets(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def bootstrap(name: str = "osm-bootstrap", **pod: Any) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"spec": pod}}}


def account(name: str, *names: str) -> dict[str, Any]:
    return {"kind": "ServiceAccount", "metadata": {"name": name}, "imagePullSecrets": secrets(*names)}


@pytest.mark.parametrize(
    ("objects", "live", "expected"),
    [
        ([], None, []),
        ([bootstrap()], None, []),
        ([bootstrap(imagePullSecrets=None)], {"imagePullSecrets": None}, []),
        ([bootstrap(imagePullSecrets=secrets("a", "b"))], None, ["a", "b"]),
        ([bootstrap("osm-controller", imagePullSecrets=secrets("a"))], None, []),
        ([bootstrap(serviceAccountName="osm"), account("osm", "a"), account("other", "b")], None, ["a"]),
        ([bootstrap(serviceAccount="osm"), account("osm", "a")], None, ["a"]),
        ([bootstrap(), account("default", "a")], None, ["a"]),
        ([bootstrap()], account("default", "a"), ["a"]),
        (
            [account("osm", "b", "a"), bootstrap(serviceAccountName="osm", imagePullSecrets=secrets("a"))],
            account("osm", "c", "b"),
            ["a", "b", "c"],
        ),
        ([bootstrap(imagePullSecrets=[{}, {"name": ""}, *secrets("a")])], None, ["a"]),
    ],
)
def test_names(objects: list[dict[str, Any]], live: dict[str, Any] | None, expected: list[str]) -> None:
    assert pull_secret_names(make_work(), objects, live) == expected
