"""Helm's errors, told apart by what Helm 4.3.1 really wrote (recorded from it, against a real API server)."""

import pytest

from meshupgrade.helm.errors import (
    MAX_MESSAGE,
    HelmError,
    HelmTimedOut,
    HelmUnreachable,
    KindsNotServed,
    KubernetesUnsupported,
    ReleaseLocked,
    RenderError,
    ValuesRejected,
    classify,
)

RECORDED = {
    "locked": (
        "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n",
        ReleaseLocked,
        "another operation (install/upgrade/rollback) is in progress",
    ),
    "schema": (
        "Error: values don't meet the specifications of the schema(s) in the following chart(s):\n"
        "schema:\n- at '/replicas': got string, want integer\n- at '': additional properties 'other' not allowed\n\n",
        ValuesRejected,
        "values don't meet the specifications of the schema(s) in the following chart(s):\n"
        "schema:\n- at '/replicas': got string, want integer\n- at '': additional properties 'other' not allowed",
    ),
    "kubernetes too old": (
        "Error: UPGRADE FAILED: chart requires kubeVersion: >=1.40.0-0 which is incompatible with Kubernetes v1.37.2\n",
        KubernetesUnsupported,
        "chart requires kubeVersion: >=1.40.0-0 which is incompatible with Kubernetes v1.37.2",
    ),
    "kind not served": (
        'Error: UPGRADE FAILED: resource mapping not found for name: "a" namespace: "" from "": '
        'no matches for kind "PodDisruptionBudget" in version "policy/v1beta1"\nensure CRDs are installed first\n',
        KindsNotServed,
        'resource mapping not found for name: "a" namespace: "" from "": '
        'no matches for kind "PodDisruptionBudget" in version "policy/v1beta1"\nensure CRDs are installed first',
    ),
    "api server away": (
        'Error: UPGRADE FAILED: kubernetes cluster unreachable: Get "http://127.0.0.1:1/version": '
        "dial tcp 127.0.0.1:1: connect: connection refused\n",
        HelmUnreachable,
        'kubernetes cluster unreachable: Get "http://127.0.0.1:1/version": '
        "dial tcp 127.0.0.1:1: connect: connection refused",
    ),
    "no such host": (
        'Error: UPGRADE FAILED: kubernetes cluster unreachable: Get "http://nope.invalid/version": '
        "dial tcp: lookup nope.invalid on 192.0.2.53:53: no such host\n",
        HelmUnreachable,
        'kubernetes cluster unreachable: Get "http://nope.invalid/version": '
        "dial tcp: lookup nope.invalid on 192.0.2.53:53: no such host",
    ),
    "repository away": (
        'Error: looks like "http://127.0.0.1:1" is not a valid chart repository or cannot be reached: '
        'Get "http://127.0.0.1:1/index.yaml": dial tcp 127.0.0.1:1: connect: connection refused\n',
        HelmUnreachable,
        'looks like "http://127.0.0.1:1" is not a valid chart repository or cannot be reached: '
        'Get "http://127.0.0.1:1/index.yaml": dial tcp 127.0.0.1:1: connect: connection refused',
    ),
    "registry away": (
        'Error: failed to perform "FetchReference" on source: Get "http://127.0.0.1:1/v2/x/manifests/1.0.0": '
        "dial tcp 127.0.0.1:1: connect: connection refused\n",
        HelmUnreachable,
        'failed to perform "FetchReference" on source: Get "http://127.0.0.1:1/v2/x/manifests/1.0.0": '
        "dial tcp 127.0.0.1:1: connect: connection refused",
    ),
    "wait timed out": (
        'level=WARN msg="upgrade failed" name=r error="resource Deployment/default/d not ready. status: InProgress, '
        'message: Pending termination: 1\\ncontext deadline exceeded"\n'
        "Error: UPGRADE FAILED: resource Deployment/default/d not ready. status: InProgress, "
        "message: Pending termination: 1\ncontext deadline exceeded\n",
        HelmTimedOut,
        "resource Deployment/default/d not ready. status: InProgress, message: Pending termination: 1\n"
        "context deadline exceeded",
    ),
    "fail in a template": (
        "Error: UPGRADE FAILED: execution error at (osm/templates/a.yaml:1:3): osm.image.tag must be set\n",
        RenderError,
        "execution error at (osm/templates/a.yaml:1:3): osm.image.tag must be set",
    ),
    "syntax of a template": (
        'Error: parse error at (osm/templates/a.yaml:1): unexpected "}" in if\n\n'
        "Use --debug flag to render out invalid YAML\n",
        RenderError,
        None,
    ),
    "template that is not there": (
        'Error: UPGRADE FAILED: incl/templates/a.yaml:1:6\n  executing "incl/templates/a.yaml" at <include "nope" .>:\n'
        '    error calling include:\ntemplate: no template "nope" associated with template "gotpl"\n',
        RenderError,
        None,
    ),
    "value of a value that is not there": (
        'Error: UPGRADE FAILED: nilp/templates/a.yaml:1:13\n  executing "nilp/templates/a.yaml" at <.Values.a.b.c>:\n'
        "    nil pointer evaluating interface {}.b\n",
        RenderError,
        None,
    ),
    "no YAML": (
        "Error: YAML parse error on badyaml/templates/a.yaml: error converting YAML to JSON: yaml: "
        "mapping values are not allowed in this context\n",
        RenderError,
        None,
    ),
    "object without apiVersion": (
        'Error: UPGRADE FAILED: error validating "": error validating data: apiVersion not set\n',
        RenderError,
        None,
    ),
    "values of the chart": (
        "Error: cannot load values.yaml: cannot unmarshal yaml document: error converting YAML to JSON: yaml: "
        "line 1: did not find expected node content\n",
        RenderError,
        None,
    ),
    "immutable field": (
        'level=WARN msg="upgrade failed" name=r error="server-side apply failed for object default/d apps/v1, '
        'Kind=Deployment: Deployment.apps \\"d\\" is invalid: spec.selector: field is immutable"\n'
        "Error: UPGRADE FAILED: server-side apply failed for object default/d apps/v1, Kind=Deployment: "
        'Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: '
        "field is immutable\n",
        HelmError,
        "server-side apply failed for object default/d apps/v1, Kind=Deployment: "
        'Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: '
        "field is immutable",
    ),
    "field of no schema": (
        "Error: UPGRADE FAILED: server-side apply failed for object default/a /v1, Kind=ConfigMap: failed to create "
        "typed patch object (default/a; /v1, Kind=ConfigMap): .nope: field not declared in schema\n",
        HelmError,
        None,
    ),
    "no release": (
        'Error: UPGRADE FAILED: "r" has no deployed releases\n',
        HelmError,
        '"r" has no deployed releases',
    ),
    "may not": (
        'Error: query: failed to query with labels: secrets is forbidden: User "weak" cannot list resource "secrets" '
        'in API group "" in the namespace "default"\n',
        HelmError,
        None,
    ),
    "no chart": ('Error: path "./nothere" not found\n', HelmError, 'path "./nothere" not found'),
    "no such flag": ("Error: unknown flag: --nope\n", HelmError, "unknown flag: --nope"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_helm_writes_is_told_apart(name: str) -> None:
    stderr, kind, message = RECORDED[name]
    error = classify(stderr)
    assert type(error) is kind
    assert str(error) == message or message is None
    assert not str(error).startswith("Error")


def test_a_webhook_that_does_not_answer_is_not_the_api_server() -> None:
    error = classify(
        "Error: UPGRADE FAILED: server-side apply failed for object osm-system/osm-mesh-config "
        "config.openservicemesh.io/v1alpha2, Kind=MeshConfig: Internal error occurred: failed calling webhook "
        '"osm-config-webhook.k8s.io": failed to call webhook: Post "https://osm-validator.osm-system.svc:9093/": '
        "dial tcp 10.0.0.7:9093: connect: connection refused\n"
    )
    assert not isinstance(error, HelmUnreachable)


def test_log_lines_and_warnings_are_not_the_message() -> None:
    error = classify(
        "I1122 18:00:00.000000    7 request.go:752] Waited before sending request\n"
        "WARNING: Kubernetes configuration file is group-readable\n"
        "time=2026-11-22T18:00:00Z level=WARN msg=x\n"
        "\n"
        "Error: INSTALLATION FAILED: it broke\n"
    )
    assert str(error) == "it broke"


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("", "Helm ended with an error and said nothing"),
        ("  \n", "Helm ended with an error and said nothing"),
        ("level=WARN msg=only\n", "level=WARN msg=only"),
    ],
)
def test_there_is_always_a_message(stderr: str, message: str) -> None:
    assert str(classify(stderr)) == message


def test_a_long_message_is_cut() -> None:
    assert len(str(classify("Error: " + "x" * 10_000))) == MAX_MESSAGE + 2
