"""What a bootstrap Deployment tells about what it does to CRDs."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution
from meshupgrade.phases.crds.bootstraps import Bootstrap, reconcile_labels
from tests.cluster.bootstrap_facts import MESHES, Mode

OSM = tuple(load_distribution(name).bootstrap for name in (DistributionName.OSM_EDGE, DistributionName.OSM))
FSM = (load_distribution(DistributionName.FSM).bootstrap,)


def bootstrap(
    version: str | None = "v1.2.3",
    *arguments: str,
    facts: Any = OSM,
    status: dict[str, int] | None = None,
    replicas: int = 1,
) -> Bootstrap:
    labels = {} if version is None else {"app.kubernetes.io/version": version}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "b", "args": list(arguments)}]}}
    metadata = {"name": "osm-bootstrap", "namespace": "osm-system"}
    spec = {"replicas": replicas, "template": template}
    return Bootstrap({"metadata": metadata, "spec": spec, "status": status or {}}, facts)


@pytest.mark.parametrize(
    ("arguments", "on"),
    [
        ((), False),
        (("--enable-reconciler=false",), False),
        (("--enable-reconciler=true",), True),
        (("--enable-reconciler",), True),
        (("--verbosity", "info", "--enable-reconciler=TRUE"), True),
        (("--enable-reconciler=true", "--enable-reconciler=false"), False),
    ],
)
def test_the_reconciler_is_told_by_its_flag(arguments: tuple[str, ...], on: bool) -> None:
    assert bootstrap("v1.2.3", *arguments).reconciles is on


@pytest.mark.parametrize(
    ("facts", "version", "replaces"),
    [
        (OSM, "v1.2.3", True),
        (OSM, "9.0.0", True),
        (FSM, "v1.3.3", True),
        (FSM, "v1.3.4", False),
        (FSM, "1.5.1", False),
        (FSM, None, True),
        (FSM, "latest", True),
    ],
)
def test_since_when_a_start_merges(facts: Any, version: str | None, replaces: bool) -> None:
    assert bootstrap(version, facts=facts).replaces is replaces


@pytest.mark.parametrize(
    ("facts", "group", "brings"),
    [
        (OSM, "config.openservicemesh.io", True),
        (OSM, "access.smi-spec.io", True),
        (OSM, "flomesh.io", True),
        (OSM, "notflomesh.io", False),
        (OSM, "gateway.networking.k8s.io", False),
        (FSM, "gateway.networking.k8s.io", True),
        (FSM, "config.openservicemesh.io", False),
        (FSM, "split.smi-spec.io", True),
    ],
)
def test_which_crds_it_may_bring(facts: Any, group: str, brings: bool) -> None:
    assert bootstrap(facts=facts).brings([group]) is brings


@pytest.mark.parametrize(
    ("status", "replicas", "settled"),
    [
        ({"replicas": 1, "readyReplicas": 1}, 1, True),
        ({"replicas": 1}, 1, False),
        ({"replicas": 2, "readyReplicas": 1}, 1, False),
        ({}, 1, False),
        ({}, 0, True),
    ],
)
def test_one_that_has_started_writes_no_more(status: dict[str, int], replicas: int, settled: bool) -> None:
    assert bootstrap(status=status, replicas=replicas).settled is settled


def test_labels_of_every_reconciler() -> None:
    assert reconcile_labels() == {"openservicemesh.io/reconcile", "flomesh.io/reconcile"}


def test_the_facts_are_those_of_the_stand_in() -> None:
    """The rig plays what was read in the releases; both must have read the same."""
    for mesh in MESHES:
        merging = [version for version, mode in mesh.modes.items() if mode is Mode.MERGE]
        for facts in (*OSM, *FSM):
            if facts.deployment == mesh.bootstrap:
                assert facts.reconcile_label == mesh.reconcile_label
                assert facts.merges_since == (merging[0] if merging else None)
