"""Whose fields an upgrade takes over, told by manager."""

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import Conflict
from meshupgrade.phases.preflight.dry_run import Answer, Taken, owners_of
from meshupgrade.phases.preflight.objects import owner_findings

REF = ObjectRef("apps/v1", "Deployment", "osm-prometheus", "osm-system")
IMAGE = '.spec.template.spec.containers[name="prometheus"].image'


def answer(*owners: tuple[str, str]) -> Answer:
    return Answer(REF, {}, taken=Taken(owners))


def test_each_manager_is_named_with_its_fields() -> None:
    found = owner_findings([answer(("kubectl-set", IMAGE)), answer(("helm-controller", ".spec.x")), answer()])
    assert [(item.name, item.severity) for item in found] == [(FindingName.FIELD_CONFLICT, Severity.WARNING)] * 2
    assert "kubectl-set" in found[1].message
    assert f"Deployment osm-system/osm-prometheus {IMAGE}" in found[1].message
    assert "helm-controller" in found[0].message


def test_replicas_of_an_autoscaler_are_told_elsewhere() -> None:
    assert owner_findings([answer(("kube-controller-manager", ".spec.replicas"))]) == []


def test_the_api_servers_conflicts_are_read() -> None:
    """The causes are those of a real one; Helm's own, of a release that Helm 3 made, are no conflict."""
    causes = [
        {"reason": "FieldManagerConflict", "field": ".spec.replicas",
         "message": 'conflict with "kubectl" with subresource "scale" using apps/v1'},
        {"reason": "FieldManagerConflict", "field": IMAGE, "message": 'conflict with "kubectl-set" using apps/v1'},
        {"reason": "FieldManagerConflict", "field": ".spec.x", "message": 'conflict with "helm" using apps/v1'},
    ]  # fmt: skip
    error = Conflict(409, {"message": "m", "details": {"causes": causes}})
    assert owners_of(error) == (("kubectl", ".spec.replicas"), ("kubectl-set", IMAGE))
