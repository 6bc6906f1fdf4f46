"""Merging CRDs: nothing that is stored ever becomes unreadable, and what the release ships is what is served."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY, DISTRIBUTION_LABEL
from meshupgrade.domain.crds import (
    KEEP_ALL,
    LAST_APPLIED,
    NO_CONVERSION,
    dropped_stored_versions,
    drops_webhook,
    has_leftovers,
    immutable_findings,
    is_already,
    merge_crd,
    merge_versions,
    served_version,
    stored_version,
    webhooks,
)

WRITTEN_BY = "osm-edge/1.2.3"
WEBHOOK = {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://hook.example"}}}

names = st.sampled_from(["v1alpha1", "v1alpha2", "v1alpha3", "v1beta1", "v1", "v2"])
metadata = st.dictionaries(
    st.sampled_from(["app", "openservicemesh.io/reconcile", LAST_APPLIED]), st.just("x"), max_size=3
)


def version(name: str, *, storage: bool = False, served: bool = True, schema: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "served": served,
        "storage": storage,
        "schema": {"openAPIV3Schema": {"type": "object", "description": schema}},
    }


def crd(
    versions: list[dict[str, Any]],
    *,
    conversion: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "group": "config.openservicemesh.io",
        "scope": "Namespaced",
        "names": {"kind": "MeshConfig", "plural": "meshconfigs"},
        "versions": versions,
    }
    if conversion is not None:
        spec["conversion"] = conversion
    about: dict[str, Any] = {"name": "meshconfigs.config.openservicemesh.io"}
    if labels is not None:
        about["labels"] = labels
    if annotations is not None:
        about["annotations"] = annotations
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": about,
        "spec": spec,
    }


@st.composite
def crds(draw: st.DrawFn, schema: str, *, live: bool = False) -> dict[str, Any]:
    chosen = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    stored = draw(st.sampled_from(chosen))
    conversions: st.SearchStrategy[dict[str, Any] | None] = st.sampled_from([{"strategy": "None"}, WEBHOOK])
    result = crd(
        [
            version(name, storage=name == stored, served=draw(st.booleans()), schema=f"{schema} {name}")
            for name in chosen
        ],
        # The API server always writes one; a shipped CRD may have none.
        conversion=draw(conversions if live else st.none() | conversions),
        labels=draw(st.none() | metadata),
        annotations=draw(st.none() | metadata),
    )
    if live:
        result["metadata"] |= {"uid": "u", "resourceVersion": "7"}
        result["status"] = {"storedVersions": [stored]}
    return result


live_crds = crds("live", live=True)
shipped_crds = crds("shipped")


def by_name(crd: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {version["name"]: version for version in crd["spec"]["versions"]}


def merged(
    live: dict[str, Any] | None, shipped: dict[str, Any], *, conversion: Mapping[str, Any] = NO_CONVERSION
) -> dict[str, Any]:
    return merge_crd(live, shipped, written_by=WRITTEN_BY, conversion=conversion)


@given(live_crds, shipped_crds)
def test_every_version_of_both_is_there_once(live: dict[str, Any], shipped: dict[str, Any]) -> None:
    versions = merged(live, shipped)["spec"]["versions"]
    assert len(versions) == len({version["name"] for version in versions})
    assert {version["name"] for version in versions} == set(by_name(live)) | set(by_name(shipped))


@given(live_crds, shipped_crds)
def test_exactly_one_version_is_stored_and_it_is_the_live_one(live: dict[str, Any], shipped: dict[str, Any]) -> None:
    versions = merged(live, shipped)["spec"]["versions"]
    assert [version["name"] for version in versions if version["storage"]] == [stored_version(live)]


@given(live_crds, shipped_crds)
def test_the_shipped_schema_wins_and_a_dropped_version_stays_as_it_was(
    live: dict[str, Any], shipped: dict[str, Any]
) -> None:
    for name, result in by_name(merged(live, shipped)).items():
        origin = by_name(shipped).get(name) or by_name(live)[name]
        assert {key: result[key] for key in result if key != "storage"} == {
            key: origin[key] for key in origin if key != "storage"
        }


@given(live_crds, shipped_crds)
def test_merging_twice_is_the_same_as_once(live: dict[str, Any], shipped: dict[str, Any]) -> None:
    once = merged(live, shipped)
    assert merged(once, shipped) == once


@given(st.none() | live_crds, shipped_crds, st.sampled_from([NO_CONVERSION, WEBHOOK]))
def test_the_conversion_is_always_told(
    live: dict[str, Any] | None, shipped: dict[str, Any], conversion: Mapping[str, Any]
) -> None:
    assert merged(live, shipped, conversion=conversion)["spec"]["conversion"] == conversion


@given(st.none() | live_crds, shipped_crds)
def test_metadata_is_what_is_shipped_and_our_two_marks(live: dict[str, Any] | None, shipped: dict[str, Any]) -> None:
    metadata = merged(live, shipped)["metadata"]
    assert set(metadata) == {"name", "labels", "annotations"}
    assert metadata["labels"] == {**shipped["metadata"].get("labels", {}), DISTRIBUTION_LABEL: "osm-edge"}
    assert LAST_APPLIED not in metadata["annotations"]
    shipped_annotations = {
        key: value for key, value in shipped["metadata"].get("annotations", {}).items() if key != LAST_APPLIED
    }
    assert metadata["annotations"] == {**shipped_annotations, CRD_WRITTEN_BY: WRITTEN_BY}


@given(st.none() | live_crds, shipped_crds)
def test_neither_input_is_changed_and_no_status_is_applied(
    live: dict[str, Any] | None, shipped: dict[str, Any]
) -> None:
    before = copy.deepcopy((live, shipped))
    result = merged(live, shipped)
    assert (live, shipped) == before
    assert set(result) == {"apiVersion", "kind", "metadata", "spec"}


@given(shipped_crds)
def test_a_crd_that_is_not_there_is_made_as_shipped(shipped: dict[str, Any]) -> None:
    assert merged(None, shipped)["spec"]["versions"] == shipped["spec"]["versions"]


def test_an_upgrade_of_the_mesh_config_keeps_what_is_stored() -> None:
    live = crd([version("v1alpha1", storage=True, schema="old")])
    shipped = crd([version("v1alpha2", storage=True, schema="new")])
    assert merge_versions(live, shipped) == [
        version("v1alpha2", storage=False, schema="new"),
        version("v1alpha1", storage=True, schema="old"),
    ]


@pytest.mark.parametrize(
    ("served", "newest"),
    [
        (["v1alpha1", "v1alpha2"], "v1alpha2"),
        (["v1alpha3", "v1alpha2", "v1alpha1"], "v1alpha3"),
        (["v1alpha2", "v1alpha10"], "v1alpha10"),
        (["v1", "v2beta1"], "v1"),
        (["v2alpha9", "v1beta1"], "v1beta1"),
        (["v2", "v10"], "v10"),
        (["v1beta2", "v2beta1"], "v2beta1"),
        (["experimental", "v1alpha1"], "v1alpha1"),
        (["foo10", "foo1"], "foo1"),
        # The example in Kubernetes' documentation, from behind.
        (
            ["foo10", "foo1", "v11alpha2", "v12alpha1", "v3beta1", "v10beta3", "v11beta2", "v1", "v2", "v10"],
            "v10",
        ),
    ],
)
def test_the_newest_served_version_by_kubernetes_order(served: list[str], newest: str) -> None:
    assert served_version(crd([version(name) for name in served])) == newest


def test_a_version_that_is_not_served_does_not_count() -> None:
    assert served_version(crd([version("v1", served=False), version("v1alpha1")])) == "v1alpha1"
    assert served_version(crd([version("v1", served=False)])) is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, None),
        ({"versions": [version("v1", storage=True)]}, None),
        ({"scope": "Cluster"}, "spec.scope from 'Namespaced' to 'Cluster'"),
        ({"names": {"kind": "Other", "plural": "meshconfigs"}}, "spec.names.kind from 'MeshConfig' to 'Other'"),
        ({"names": {"kind": "MeshConfig", "plural": "others"}}, "spec.names.plural from 'meshconfigs' to 'others'"),
    ],
)
def test_what_the_api_server_never_lets_change(change: dict[str, Any], named: str | None) -> None:
    live = crd([version("v1alpha1", storage=True)])
    shipped = copy.deepcopy(live)
    shipped["spec"] |= change
    findings = immutable_findings(live, shipped)
    if named is None:
        assert findings == []
    else:
        (finding,) = findings
        assert (finding.name, finding.severity) == (FindingName.CRD_IMMUTABLE_CHANGE, Severity.ERROR)
        assert f"{named}, which" in finding.message
        assert "meshconfigs.config.openservicemesh.io" in finding.message


def test_a_crd_of_before_v1_keeps_the_fields_that_no_schema_names() -> None:
    live = crd([version("v1alpha1", storage=True), version("v1alpha2")])
    live["spec"]["preserveUnknownFields"] = True
    shipped = crd([version("v1alpha2", storage=True, schema="new")])
    result = merged(live, shipped)
    assert result["spec"]["preserveUnknownFields"] is False
    assert by_name(result)["v1alpha1"]["schema"] == KEEP_ALL
    assert by_name(result)["v1alpha2"]["schema"]["openAPIV3Schema"]["description"] == "new"


@pytest.mark.parametrize(
    ("stored", "shipped", "dropped"),
    [
        (["v1"], ["v1", "v2"], []),
        (["v1", "v2"], ["v2"], ["v1"]),
        (["v1", "v2"], ["v3"], ["v1", "v2"]),
        ([], ["v3"], []),
    ],
)
def test_versions_in_which_objects_may_be_stored_are_told(
    stored: list[str], shipped: list[str], dropped: list[str]
) -> None:
    live = crd([version(name) for name in [*stored, "v0"]])
    live["status"] = {"storedVersions": stored}
    assert dropped_stored_versions(live, crd([version(name) for name in shipped])) == dropped


def hook(service: str, **client: str) -> dict[str, Any]:
    reference = {"namespace": "osm-system", "name": service}
    return {
        "strategy": "Webhook",
        "webhook": {"clientConfig": {"service": reference, **client}, "conversionReviewVersions": ["v1"]},
    }


@pytest.mark.parametrize(
    ("live", "shipped", "tried"),
    [
        (None, None, []),
        (NO_CONVERSION, NO_CONVERSION, []),
        (hook("a"), None, [hook("a")]),
        (None, hook("b"), [hook("b")]),
        (hook("a"), hook("b"), [hook("a"), hook("b")]),
        (hook("a", caBundle="ours"), hook("a"), [hook("a", caBundle="ours")]),
        (hook("a", caBundle="old"), hook("a", caBundle="new"), [hook("a", caBundle="new")]),
    ],
)
def test_a_live_webhook_goes_before_a_shipped_one(live: Any, shipped: Any, tried: list[Any]) -> None:
    versions = [version("v1", storage=True)]
    assert webhooks(crd(versions, conversion=live), crd(versions, conversion=shipped)) == tried


@given(live_crds, shipped_crds, st.sampled_from([NO_CONVERSION, WEBHOOK]))
def test_a_webhook_that_goes_is_seen(
    live: dict[str, Any], shipped: dict[str, Any], conversion: Mapping[str, Any]
) -> None:
    gone = drops_webhook(live, merged(live, shipped, conversion=conversion))
    assert gone == (live["spec"]["conversion"] == WEBHOOK and conversion == NO_CONVERSION)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, False),
        ({"names": {"kind": "K", "singular": "k", "listKind": "KList"}}, False),
        ({"names": {"kind": "K", "shortNames": ["x"]}}, True),
        ({"preserveUnknownFields": True}, True),
        ({"conversion": {"strategy": "None", "webhook": {}}}, True),
        ({"versions": [{"name": "v1", "additionalPrinterColumns": []}]}, False),
    ],
)
def test_what_others_own_and_nobody_wants_is_seen(change: dict[str, Any], left: bool) -> None:
    wanted = {"names": {"kind": "K"}, "conversion": {"strategy": "None"}, "versions": [{"name": "v1"}]}
    assert has_leftovers(wanted, wanted | change) is left


@pytest.mark.parametrize(
    ("change", "already"),
    [
        ({}, True),
        ({"names": {"kind": "K", "plural": "ks", "singular": "k", "listKind": "KList"}}, True),
        ({"names": {"kind": "K", "plural": "ks", "singular": "k", "listKind": "KList", "shortNames": ["x"]}}, False),
        ({"preserveUnknownFields": True}, False),
        ({"versions": []}, False),
        ({"conversion": WEBHOOK}, False),
    ],
)
def test_only_what_is_so_word_for_word_needs_no_dry_run(change: dict[str, Any], already: bool) -> None:
    names = {"kind": "K", "plural": "ks"}
    wanted = {"names": names, "conversion": NO_CONVERSION, "versions": [{"name": "v1"}]}
    live = {"spec": wanted | {"names": {**names, "singular": "k", "listKind": "KList"}} | change}
    assert is_already(live, {"spec": wanted | {"preserveUnknownFields": False}}) is already
