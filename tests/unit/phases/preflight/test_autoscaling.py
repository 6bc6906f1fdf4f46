"""Whether an upgrade would lower the replicas that an autoscaler owns."""

from typing import Any

import pytest

from meshupgrade.phases.preflight.autoscaling import replica_findings
from tests.unit.phases.preflight.releases import deployment, rendered

HELMS = {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
AUTOSCALERS = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def live(count: int, *managers: dict[str, Any]) -> dict[str, Any]:
    found = deployment("osm-controller", {"name": "c"}, replicas=count)
    found["metadata"]["managedFields"] = list(managers)
    return found


@pytest.mark.parametrize(
    ("before", "named", "told"),
    [
        (live(5, HELMS), 1, "from 5 to 1"),
        (live(5, AUTOSCALERS), 3, "from 5 to 3"),
        (live(2, HELMS), 3, None),
        (live(2, HELMS), 2, None),
        (live(5, HELMS), None, "from 5 to 1"),
        (live(5, AUTOSCALERS), None, None),
        (live(1, HELMS), None, None),
    ],
)
def test_what_is_lowered(before: dict[str, Any], named: int | None, told: str | None) -> None:
    spec = {} if named is None else {"replicas": named}
    found = replica_findings([before], rendered(deployment("osm-controller", {"name": "c"}, **spec)))
    assert len(found) == (told is not None)
    if told:
        assert f"Deployment osm-controller {told}" in found[0].message
