"""Refusals of the API server as findings; the messages are those of a real one."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import KindNotServed, KubeError, Rejected, from_status
from meshupgrade.phases.preflight.refusals import brief, is_immutable, refusal

REF = ObjectRef("apps/v1", "Deployment", "osm-controller", "osm-system")
SECRET = ObjectRef("v1", "Secret", "proxy-config", "osm-system")
CLAIM = ObjectRef("v1", "PersistentVolumeClaim", "data", "osm-system")

SELECTOR = ("spec.selector", 'Invalid value: {"matchLabels":{"app":"b"}}: field is immutable')
LABELS = (
    "spec.template.metadata.labels",
    'Invalid value: {"app":"d"}: `selector` does not match template `labels`',
)
STATEFUL = (
    "spec",
    "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden",
)
SERVICE = ("spec.clusterIPs[0]", 'Invalid value: ["None"]: may not change once set')
PORT = (
    "spec.template.spec.containers[0].ports[0].containerPort",
    "Invalid value: 70000: must be between 1 and 65535, inclusive",
)
STORAGE = (
    "spec",
    'Forbidden: spec is immutable after creation except resources.requests\n@@ -6,7 +6,7 @@\n-   "storage": "1Gi"',
)
SEALED = ("data", "Forbidden: field is immutable when `immutable` is set")
RBAC = 'roles.rbac.authorization.k8s.io "r" is forbidden: User "weak" cannot patch resource "roles" in API group ""'
QUOTA = 'pods "a" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4'
DRY_RUN = 'admission webhook "v.example" does not support dry run'
WEBHOOK = 'Internal error occurred: failed calling webhook "w.x.io": failed to call webhook: connection refused'
TYPED = "failed to create typed patch object (/d; apps/v1, Kind=Deployment): "


def status(code: int, message: str, **details: Any) -> KubeError:
    return from_status(code, {"message": message, "details": details})


def invalid(*causes: tuple[str, str]) -> KubeError:
    named = [{"field": field, "message": message, "reason": "FieldValueInvalid"} for field, message in causes]
    whole = 'Deployment.apps "d" is invalid: ' + ", ".join(f"{field}: {message}" for field, message in causes)
    return status(422, whole, causes=named)


@pytest.mark.parametrize(
    ("ref", "error", "name", "severity"),
    [
        (REF, invalid(SELECTOR), FindingName.IMMUTABLE_FIELD_CHANGED, Severity.RISK),
        (REF, invalid(STATEFUL), FindingName.IMMUTABLE_FIELD_CHANGED, Severity.RISK),
        (REF, invalid(SERVICE), FindingName.IMMUTABLE_FIELD_CHANGED, Severity.RISK),
        (SECRET, invalid(SEALED), FindingName.IMMUTABLE_FIELD_CHANGED, Severity.RISK),
        # To make it anew would not help: it would be refused again.
        (REF, invalid(SELECTOR, LABELS), FindingName.OBJECT_REJECTED, Severity.ERROR),
        # What it stores would go with it.
        (CLAIM, invalid(STORAGE), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (REF, KindNotServed("policy/v1beta1", "X"), FindingName.REMOVED_APIS, Severity.ERROR),
        (REF, status(403, RBAC), FindingName.FORBIDDEN, Severity.ERROR),
        (REF, status(403, QUOTA), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (REF, status(404, 'namespaces "n" not found', kind="namespaces"), FindingName.NAMESPACE_MISSING,
         Severity.ERROR),
        (REF, status(404, 'priorityclasses "x" not found'), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (REF, status(400, DRY_RUN), FindingName.DRY_RUN_UNSUPPORTED, Severity.WARNING),
        (REF, invalid(PORT), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (REF, status(409, "Apply failed with 1 conflict"), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (REF, status(500, WEBHOOK), FindingName.OBJECT_REJECTED, Severity.ERROR),
        (REF, status(500, f"{TYPED}.spec.nope: field not declared in schema"), FindingName.OBJECT_REJECTED,
         Severity.ERROR),
    ],
)  # fmt: skip
def test_which_finding_a_refusal_is(ref: ObjectRef, error: KubeError, name: FindingName, severity: Severity) -> None:
    found = refusal(ref, error)
    assert (found.name, found.severity) == (name, severity)
    assert found.message.startswith(f"{ref}: ")
    assert found.remedy
    assert is_immutable(ref, error) == (name is FindingName.IMMUTABLE_FIELD_CHANGED)


@pytest.mark.parametrize(
    ("ref", "error", "told"),
    [
        (REF, invalid(SELECTOR), "spec.selector: field is immutable"),
        (REF, invalid(PORT), f"{PORT[0]}: {PORT[1]}"),
        (REF, invalid(SELECTOR, LABELS),
         "spec.selector: field is immutable; spec.template.metadata.labels: `selector` does not match template "
         "`labels`"),
        (CLAIM, invalid(STORAGE), "spec: Forbidden: spec is immutable after creation except resources.requests"),
        (REF, invalid(("x", 'Invalid value: "short": must be long')), 'x: Invalid value: "short": must be long'),
        (REF, invalid(("spec.x", f'Invalid value: "{"y" * 80}": too long')), "spec.x: too long"),
        (REF, invalid(("spec.x", "Invalid value: map[b:c]: field is immutable")), "spec.x: field is immutable"),
        (REF, invalid(("spec.x", 'Duplicate value: {"name":"a"}')), "spec.x: duplicate value"),
        (REF, status(500, f"{TYPED}.spec.replicas: expected numeric (int or float), got string"),
         ".spec.replicas: expected numeric (int or float), got string"),
        (REF, status(500, f"{TYPED}.spec.x: expected string, got &value.valueUnstructured{{Value:5}}"),
         ".spec.x: expected string, got another type"),
        (REF, status(400, "x" * 700), "x" * 600 + " …"),
        (REF, invalid(*[(f"f{n}", "Required value") for n in range(7)]),
         "; ".join(f"f{n}: Required value" for n in range(5)) + "; and 2 more"),
    ],
)  # fmt: skip
def test_what_is_told(ref: ObjectRef, error: KubeError, told: str) -> None:
    assert brief(ref, error) == told


@pytest.mark.parametrize(
    ("ref", "field"),
    [
        (SECRET, "data[token]"),
        (ObjectRef("v1", "ConfigMap", "c"), "data[token]"),
        (REF, "spec.template.spec.containers[0].env[0].value"),
        (REF, "spec.template.spec.containers[0].args[3]"),
        (REF, "metadata.annotations"),
    ],
)
def test_values_that_may_be_secret_are_not_told(ref: ObjectRef, field: str) -> None:
    error = invalid((field, 'Invalid value: "hunter2": must be longer'))
    assert brief(ref, error) == f"{field}: must be longer"


@pytest.mark.parametrize("message", ["failed to create typed patch object (/d): x", "failed to convert new object (x)"])
def test_what_never_fits_is_not_tried_again(message: str) -> None:
    """The API server answers a server-side apply against the schema with 500, as if it were its own fault."""
    assert isinstance(status(500, message), Rejected)
