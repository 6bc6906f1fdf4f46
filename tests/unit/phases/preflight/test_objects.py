"""Refusals of the API server as findings; the messages are those of a real one."""

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import KindNotServed, KubeError, from_status
from meshupgrade.phases.preflight.objects import _brief, _finding, _is_immutable, _Refusal

REF = ObjectRef("apps/v1", "Deployment", "osm-controller", "osm-system")
SELECTOR = (
    'Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable'
)
STATEFUL = (
    'StatefulSet.apps "s" is invalid: spec: Forbidden: updates to statefulset spec for fields other than '
    "'replicas', 'template' are forbidden"
)
SERVICE = 'Service "s" is invalid: spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'
RBAC = 'roles.rbac.authorization.k8s.io "r" is forbidden: User "weak" cannot patch resource "roles" in API group ""'
QUOTA = 'pods "a" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4'
WEBHOOK = 'admission webhook "v.example" does not support dry run'


def status(code: int, message: str) -> KubeError:
    return from_status(code, {"message": message})


@pytest.mark.parametrize(
    ("error", "name", "severity"),
    [
        (status(422, SELECTOR), FindingName.IMMUTABLE_FIELD_CHANGED, Severity.RISK),
        (status(422, STATEFUL), FindingName.IMMUTABLE_FIELD_CHANGED, Severity.RISK),
        (status(422, SERVICE), FindingName.IMMUTABLE_FIELD_CHANGED, Severity.RISK),
        (KindNotServed("policy/v1beta1", "PodDisruptionBudget"), FindingName.REMOVED_APIS, Severity.ERROR),
        (status(403, RBAC), FindingName.FORBIDDEN, Severity.ERROR),
        (status(403, QUOTA), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (status(404, 'namespaces "nothere" not found'), FindingName.NAMESPACE_MISSING, Severity.ERROR),
        (status(404, 'priorityclasses "x" not found'), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (status(400, WEBHOOK), FindingName.DRY_RUN_UNSUPPORTED, Severity.WARNING),
        (
            status(422, "spec.replicas: Invalid value: -1: must be positive"),
            FindingName.OBJECT_REJECTED,
            Severity.ERROR,
        ),
        (status(409, "Apply failed with 1 conflict"), FindingName.OBJECT_REJECTED, Severity.ERROR),
    ],
)
def test_which_finding_a_refusal_is(error: KubeError, name: FindingName, severity: Severity) -> None:
    finding = _finding(_Refusal(REF, error))
    assert (finding.name, finding.severity) == (name, severity)
    assert finding.message.startswith("Deployment osm-system/osm-controller: ")
    assert finding.remedy
    assert _is_immutable(error) == (name is FindingName.IMMUTABLE_FIELD_CHANGED)


@pytest.mark.parametrize(
    ("message", "brief"),
    [
        (SELECTOR, SELECTOR.partition("is invalid: ")[2]),
        (f'a: Invalid value: {{"b":"{"c" * 200}"}}: field is immutable', "a: field is immutable"),
        ("a: Invalid value: map[b:c]: field is immutable", "a: field is immutable"),
        (
            "a: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{}}: field is immutable",
            "a: field is immutable",
        ),
        ('a: Invalid value: "short": must be long', 'a: Invalid value: "short": must be long'),
        ("x" * 700, "x" * 600 + " …"),
    ],
)
def test_whole_objects_are_left_out_of_messages(message: str, brief: str) -> None:
    assert _brief(status(422, message)) == brief
