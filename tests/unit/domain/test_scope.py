"""What becomes of custom resources whose CRD changes its scope."""

import json
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.names import FORMER_NAMESPACE
from meshupgrade.domain.crds import LAST_APPLIED
from meshupgrade.domain.scope import (
    collisions,
    common_version,
    foreign_finalizers,
    keeps_status,
    mark_of,
    namespace_candidates,
    only_scope_differs,
    owner_may_stay,
    remade,
    unchanged,
)

Object = dict[str, Any]


def crd(scope: str = "Namespaced", kind: str = "Chain", **versions: str) -> Object:
    """A CRD whose versions are each described by the letters n (not served), s (stored), t (status subresource)."""
    made = [
        {"name": name, "served": "n" not in flags, "storage": "s" in flags}
        | ({"subresources": {"status": {}}} if "t" in flags else {})
        for name, flags in (versions or {"v1": "s"}).items()
    ]
    names = {"kind": kind, "plural": f"{kind.lower()}s"}
    return {"metadata": {"name": "chains.x.example"}, "spec": {"scope": scope, "names": names, "versions": made}}


def obj(name: str = "a", namespace: str | None = None, **metadata: Any) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "x.example/v1",
        "kind": "Chain",
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", **place, **metadata},
        "spec": {"plugins": ["one"]},
        "status": {"seen": True},
    }


@pytest.mark.parametrize(
    ("live", "shipped", "expected"),
    [
        (crd("Cluster"), crd("Namespaced"), True),
        (crd("Cluster"), crd("Cluster"), False),
        (crd("Cluster"), crd("Namespaced", kind="Link"), False),
    ],
)
def test_only_the_scope_can_be_brought_over(live: Object, shipped: Object, expected: bool) -> None:
    assert only_scope_differs(live, shipped) is expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (crd(v1="s"), crd(v1="s"), "v1"),
        (crd(v1alpha1="s", v1=""), crd(v1alpha1="", v1="s"), "v1alpha1"),
        (crd(v1alpha1="ns", v1=""), crd(v1alpha1="", v1="s"), "v1"),
        (crd(v1alpha1="s", v1beta1="", v1=""), crd(v1alpha1="n", v1beta1="", v1="s"), "v1"),
        (crd(v1alpha1="s"), crd(v1alpha1="n", v1="s"), None),
    ],
    ids=["the same", "the stored one", "the stored one is not served", "the newest of both", "none"],
)
def test_the_version_to_read_and_create_in(old: Object, new: Object, expected: str | None) -> None:
    assert common_version(old, new) == expected


def test_status_as_a_subresource() -> None:
    assert keeps_status(crd(v1="st", v2=""), "v1")
    assert not keeps_status(crd(v1="st", v2=""), "v2")


def test_collisions() -> None:
    keys = [("b", "twin"), ("a", "twin"), ("a", "one"), (None, "two")]
    assert collisions(keys) == {"twin": ["a", "b"]}


@pytest.mark.parametrize(
    ("annotations", "given", "expected"),
    [
        ({}, None, []),
        ({}, "asked", ["asked"]),
        ({FORMER_NAMESPACE: "once"}, "asked", ["once", "asked"]),
        ({"meta.helm.sh/release-namespace": "release"}, None, ["release"]),
        ({LAST_APPLIED: json.dumps({"metadata": {"namespace": "applied"}})}, None, ["applied"]),
        ({LAST_APPLIED: json.dumps({"metadata": {}})}, None, []),
        ({LAST_APPLIED: "[1]"}, None, []),
        ({LAST_APPLIED: "{"}, None, []),
        ({LAST_APPLIED: '{"metadata": null}'}, None, []),
        ({FORMER_NAMESPACE: "a", "meta.helm.sh/release-namespace": "a"}, "a", ["a"]),
    ],
)
def test_where_a_cluster_scoped_object_may_belong(
    annotations: dict[str, str], given: str | None, expected: list[str]
) -> None:
    assert namespace_candidates({"annotations": annotations}, given) == expected


def test_finalizers_but_for_the_one_of_our_own_deletion() -> None:
    assert foreign_finalizers({"finalizers": ["orphan", "x.example/y"]}) == ["orphan", "x.example/y"]
    assert foreign_finalizers({"finalizers": ["orphan", "x.example/y"]}, ours=True) == ["x.example/y"]
    assert foreign_finalizers({}) == []


@pytest.mark.parametrize(
    ("namespaced", "before", "after", "expected"),
    [
        (True, "Namespaced", "Cluster", False),
        (False, "Namespaced", "Cluster", True),
        (None, "Namespaced", "Cluster", True),
        (True, "Cluster", "Namespaced", False),
        (False, "Cluster", "Namespaced", True),
        (True, "Namespaced", "Namespaced", True),
    ],
)
def test_owners_that_may_stay(namespaced: bool | None, before: str, after: str, expected: bool) -> None:
    assert owner_may_stay(namespaced, before, after) is expected


class TestRemade:
    def test_the_servers_own_is_left_out_and_the_users_stays(self) -> None:
        old = obj(
            namespace="a", labels={"app": "x"}, annotations={"note": "y"}, managedFields=[{}], generation=4,
            creationTimestamp="now", finalizers=["orphan"], ownerReferences=[{"uid": "gone"}],
        )  # fmt: skip
        made = remade(old, "b", [], with_status=False, api_version="x.example/v2")
        assert made == {
            "apiVersion": "x.example/v2",
            "kind": "Chain",
            "metadata": {"name": "a", "namespace": "b", "labels": {"app": "x"}, "annotations": {"note": "y"}},
            "spec": {"plugins": ["one"]},
        }
        assert old["metadata"]["ownerReferences"] == [{"uid": "gone"}]

    def test_it_remembers_its_namespace_and_finds_back(self) -> None:
        there = remade(obj(namespace="a"), None, [], with_status=True, api_version="x.example/v1")
        assert there["metadata"] == {"name": "a", "annotations": {FORMER_NAMESPACE: "a"}}
        assert there["status"] == {"seen": True}
        (namespace,) = namespace_candidates(there["metadata"], None)
        back = remade(there, namespace, [], with_status=True, api_version="x.example/v1")
        assert back["metadata"] == {"name": "a", "namespace": "a"}

    def test_owners_are_those_given(self) -> None:
        owner = {"uid": "new", "kind": "Chain"}
        made = remade(obj(), None, [owner], with_status=True, api_version="x.example/v1")
        assert made["metadata"]["ownerReferences"] == [owner]


class TestUnchanged:
    def test_what_was_not_exported(self) -> None:
        assert not unchanged(None, obj(), ())

    def test_the_same_resource_version(self) -> None:
        assert unchanged(mark_of(obj()), obj(), ())

    @pytest.mark.parametrize(
        "change", [{"labels": {"a": "b"}}, {"uid": "other"}, {"finalizers": ["x"]}, {"annotations": {"a": "b"}}]
    )
    def test_changed_metadata(self, change: Object) -> None:
        assert not unchanged(mark_of(obj()), obj(**{"resourceVersion": "8", **change}), ())

    @pytest.mark.parametrize("field", ["spec", "status"])
    def test_changed_content(self, field: str) -> None:
        assert not unchanged(mark_of(obj()), {**obj(resourceVersion="8"), field: {}}, ())

    @pytest.mark.parametrize(
        ("left", "deleted", "expected"),
        [
            (["other"], {"mine"}, True),
            ([], {"mine", "other"}, True),
            (["other"], set(), False),
            (["other", "new"], {"mine"}, False),
            (["mine", "other"], {"mine"}, True),
        ],
        ids=["freed of one", "freed of both", "freed of one that lives", "a new owner", "as it was"],
    )
    def test_owners_that_the_garbage_collector_took_out(
        self, left: list[str], deleted: set[str], expected: bool
    ) -> None:
        mark = mark_of(obj(ownerReferences=[{"uid": "mine"}, {"uid": "other"}]))
        live = obj(resourceVersion="8", generation=2, ownerReferences=[{"uid": uid} for uid in left])
        assert unchanged(mark, live, deleted) is expected
