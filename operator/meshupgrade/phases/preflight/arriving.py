"""Objects of kinds that the API server does not serve yet, since their CRD comes with this very hop, before Helm runs.

They are checked against the schema of that CRD, as the API server will.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.domain.schema_validation import Validator
from meshupgrade.domain.structural_schema import prune, schema_of, told_path, with_defaults
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.preflight.check import enumerate_some, finding

__all__ = ["arrives", "arriving_findings"]

CRD = Mapping[str, Any]


def arrives(ref: ObjectRef, crds: Sequence[CRD]) -> bool:
    """Tell whether one of the CRDs serves the kind in that version."""
    return _crd_of(ref, crds) is not None


def arriving_findings(ref: ObjectRef, obj: Mapping[str, Any], crds: Sequence[CRD]) -> list[Finding]:
    """Give the finding for an object that the schema of its CRD will refuse."""
    crd = _crd_of(ref, crds)
    if crd is None:
        return []
    schema = schema_of(crd, ref.api_version.rpartition("/")[2])
    violations = Validator(schema).violations(with_defaults(prune(obj, schema), schema))
    if not violations:
        return []
    told = [f"{told_path(violation.path) or 'it'}: {violation.text}" for violation in violations]
    return [
        finding(
            FindingName.OBJECT_REJECTED,
            Severity.ERROR,
            f"{ref}: the CRD {crd['metadata']['name']} of this version will refuse it: {enumerate_some(told, 5)}",
            "Correct spec.values so that the chart makes what its own CRD takes.",
        )
    ]


def _crd_of(ref: ObjectRef, crds: Sequence[CRD]) -> CRD | None:
    group, _, version = ref.api_version.rpartition("/")
    for crd in crds:
        spec = crd["spec"]
        served = {item["name"] for item in spec["versions"] if item["served"]}
        if (spec["group"], spec["names"]["kind"]) == (group, ref.kind) and version in served:
            return crd
    return None
