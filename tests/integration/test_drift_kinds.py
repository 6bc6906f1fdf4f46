"""Drift of objects of many kinds, of a release that Helm itself installed."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from meshupgrade.api.v1alpha1.names import HELD
from meshupgrade.helm.storage import ReleaseStorage
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.phases.drift import correct_drift, find_drift
from meshupgrade.phases.shape import Tools, Work
from tests.cluster.cluster import Cluster
from tests.unit.phases.works import make_work

Object = dict[str, Any]

POD: Object = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [{"name": "a", "image": "a:1", "resources": {"limits": {"cpu": "1000m"}}}]},
}


def deployment(name: str, **metadata: Any) -> Object:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": POD}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **metadata}, "spec": spec}


def job(name: str, **spec: Any) -> Object:
    template = {"spec": {"containers": [{"name": "a", "image": "a:1"}], "restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec},
    }  # fmt: skip


def config_map(name: str, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "1"}}


def sealed(value: str) -> Object:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sealed"}, "immutable": True}
    return {**secret, "stringData": {"key": value}}


def objects() -> list[Object]:
    """Objects whose lists, mappings and bundles the API server treats in different ways."""
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "hunter2"}},
        sealed("hunter2"),
        config_map("untouched"),
        config_map("a-hook", annotations={"helm.sh/hook": "post-install"}),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "rb"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "{{ .Release.Namespace }}"}],
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "pdb"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "svc"},
            "spec": {"selector": {"app": "a"}, "ports": [{"name": "a", "port": 80}]},
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "drift-kinds"},
            "webhooks": [
                {
                    "name": "a.drift-kinds.test",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Ignore",
                    "clientConfig": {"url": "https://127.0.0.1:1/", "caBundle": "Cg=="},
                    "rules": [
                        {
                            "apiGroups": ["none.test"],
                            "apiVersions": ["v1"],
                            "resources": ["x"],
                            "operations": ["CREATE"],
                        }
                    ],
                }
            ],
        },
        job("cleared", ttlSecondsAfterFinished=100),
        job("lost"),
        deployment("edited"),
        deployment("replaced"),
        deployment("held"),
        deployment("scaled"),
        deployment("autoscaled", labels={"app": "a"}),
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "autoscaled"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "autoscaled"},
                "minReplicas": 3,
                "maxReplicas": 5,
            },
        },
    ]


class Interfered(Kube):
    """A client that somebody gets in between of: an autoscaler scales right before an object is applied."""

    async def apply(self, obj: Mapping[str, Any], **options: Any) -> Object:
        if obj["metadata"]["name"] == "autoscaled" and not options.get("dry_run"):
            ref = ObjectRef.of(obj, options["namespace"])
            path = await self.path(ref.api_version, ref.kind, ref.namespace, ref.name)
            body = {"spec": {"replicas": 4}}
            await self.json("PATCH", f"{path}/scale", body=body, content_type="application/merge-patch+json")
        return await super().apply(obj, **options)


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    access = await load_access(cluster.kubeconfig, None)
    async with Interfered(access.configuration) as client:
        yield client


@pytest.fixture
async def work(cluster: Cluster, namespace: str, kube: Kube, tmp_path: Path) -> AsyncIterator[Work]:
    """A run for a release with these objects."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: kinds, version: 1.2.3}")
    (tmp_path / "templates" / "all.yaml").write_text(yaml.safe_dump_all(objects()))
    cluster.helm("install", "osm", str(tmp_path), "--namespace", namespace)
    work = make_work()
    work.namespace = namespace
    work.tools = replace(Tools(*[cast("Any", None)] * 5), kube=kube)
    work.live = await ReleaseStorage(kube, namespace, "osm").read(1)
    yield work
    cluster.helm("uninstall", "osm", "--namespace", namespace)


async def test_drift_of_many_kinds(work: Work, cluster: Cluster, namespace: str) -> None:
    assert await find_drift(work) == [], "what Helm has just applied"

    def kubectl(*arguments: str, **options: Any) -> str:
        return cluster.kubectl(f"--namespace={namespace}", *arguments, **options).stdout

    def patch(kind: str, name: str, content: Object, mode: str = "merge") -> None:
        kubectl("patch", kind, name, f"--type={mode}", "-p", json.dumps(content))

    subject = {"kind": "ServiceAccount", "namespace": namespace}
    patch("secret", "s", {"stringData": {"key": "hunter3", "more": "x"}})
    patch("rolebinding", "rb", {"subjects": [{**subject, "name": "a"}, {**subject, "name": "intruder"}]})
    patch("pdb", "pdb", {"spec": {"selector": {"matchLabels": {"more": "b"}}}})
    patch("service", "svc", {"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}})
    bundle = {"webhooks": [{"name": "a.drift-kinds.test", "clientConfig": {"caBundle": "SW5qZWN0ZWQ="}}]}
    patch("validatingwebhookconfiguration", "drift-kinds", bundle, "strategic")
    edit = {"name": "a", "image": "a:1", "args": ["x"], "resources": {"limits": {"cpu": "1"}}}
    patch("deployment", "edited", {"spec": {"template": {"spec": {"containers": [edit]}}}}, "strategic")
    patch("deployment", "held", {"metadata": {"labels": {HELD: "u1"}}, "spec": {"replicas": 0}})
    patch("deployment", "scaled", {"spec": {"replicas": 2}})
    patch("deployment", "autoscaled", {"metadata": {"labels": {"app": "b"}}, "spec": {"replicas": 3}})
    kubectl("delete", "job", "cleared", "lost")
    kubectl("delete", "deployment/replaced", "secret/sealed")
    kubectl("apply", "-f", "-", input=yaml.safe_dump(sealed("hunter3")))
    other = deployment("replaced")
    other["spec"] = json.loads(json.dumps(other["spec"]).replace('"app": "a"', '"app": "b"'))
    kubectl("apply", "-f", "-", input=yaml.safe_dump(other))

    assert work.live is not None
    # Objects of an API that the server does not serve any more.
    old = {"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": "old"}}
    work.live = replace(work.live, manifest=f"{work.live.manifest}\n---\n{yaml.safe_dump(old)}")
    found = {drift.object.replace(f"{namespace}/", ""): drift for drift in await find_drift(work)}
    assert {name: [field.path for field in drift.fields] for name, drift in found.items()} == {
        "Secret s": ["data.key"],
        "Secret sealed": ["data"],
        "RoleBinding rb": ["subjects[intruder]"],
        "PodDisruptionBudget pdb": ["spec.selector.matchLabels.more"],
        "Job lost": [],
        "Deployment replaced": ["spec.selector"],
        "Deployment scaled": ["spec.replicas"],
        "Deployment autoscaled": ["metadata.labels.app"],
        "PodSecurityPolicy old": [],
    }
    assert found["Job lost"].missing
    assert "immutable" in found["Deployment replaced"].error
    assert not found["PodSecurityPolicy old"].certain
    assert found["Secret sealed"].error == "the API server does not take it", "whatever its message has"
    assert "hunter" not in repr(found)

    put_back, left = await correct_drift(work, list(found.values()))
    assert {drift.object.split(" ")[0] for drift in put_back} == {
        "Secret", "RoleBinding", "PodDisruptionBudget", "Job", "Deployment",
    }  # fmt: skip
    assert [drift.object.rpartition("/")[2] for drift in left] == ["sealed", "replaced", "old"]
    assert "immutable" in left[1].error
    assert await find_drift(work) == left
    scaled = kubectl("get", "deployment", "autoscaled", "-o", "jsonpath={.spec.replicas} {.metadata.labels.app}")
    assert scaled == "4 a", "what was not seen is not overwritten"
    bundled = json.loads(kubectl("get", "validatingwebhookconfiguration", "drift-kinds", "-o", "json"))
    assert bundled["webhooks"][0]["clientConfig"]["caBundle"] == "SW5qZWN0ZWQ="
    assert set(json.loads(kubectl("get", "secret", "s", "-o", "jsonpath={.data}"))) == {"key", "more"}

    # A release that is not the newest any more is nobody's wish.
    patch("deployment", "scaled", {"spec": {"replicas": 2}})
    work.live = replace(work.live, revision=7)
    again = await find_drift(work)
    assert await correct_drift(work, again) == ([], again)
    assert kubectl("get", "deployment", "scaled", "-o", "jsonpath={.spec.replicas}") == "2"
