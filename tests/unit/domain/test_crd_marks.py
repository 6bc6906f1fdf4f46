"""The mark on a CRD: an older mesh never rolls back a newer one's, and a mark that lies is no mark."""

import copy
from typing import Any

import pytest
import semver

from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY, CRD_WRITTEN_VERSIONS
from meshupgrade.domain.crd_marks import mark, served_names, written_by_newer

OURS = semver.Version.parse("1.2.3")


def crd(*names: str, schema: str = "", written_by: str | None = None) -> dict[str, Any]:
    versions = [
        {"name": name, "served": True, "storage": name == names[0], "schema": {"description": schema}} for name in names
    ]
    annotations = {} if written_by is None else {CRD_WRITTEN_BY: written_by}
    return {"metadata": {"name": "n", "annotations": annotations}, "spec": {"versions": versions}}


def marked(obj: dict[str, Any], *names: str) -> dict[str, Any]:
    obj["metadata"]["annotations"][CRD_WRITTEN_VERSIONS] = mark(obj, names)
    return obj


@pytest.mark.parametrize(
    ("told", "newer"),
    [
        ("osm-edge/1.3.0", "1.3.0"),
        ("osm-edge/1.10.0", "1.10.0"),
        ("osm-edge/1.2.3", None),
        ("osm-edge/1.2.2", None),
        ("osm-edge/1.2.3-rc.1", None),
        ("osm-edge/1.2.3+build", None),
        ("osm/9.9.9", None),
        ("osm-edge/what", None),
        ("osm-edge", None),
        ("", None),
        (None, None),
    ],
)
def test_a_crd_of_a_newer_mesh_version_is_told(told: str | None, newer: str | None) -> None:
    assert written_by_newer(crd("v1", written_by=told), crd("v1"), "osm-edge", OURS) == newer


def test_a_crd_without_a_version_that_we_ship_was_put_back_by_an_older_bootstrap() -> None:
    assert written_by_newer(crd("v1", written_by="osm-edge/9.0.0"), crd("v1", "v2"), "osm-edge", OURS) is None


def test_a_mark_holds_only_for_what_it_was_written_of() -> None:
    live = marked(crd("v1", "v2", written_by="osm-edge/9.0.0"), "v1", "v2")
    assert written_by_newer(live, crd("v1"), "osm-edge", OURS) == "9.0.0"
    replaced = copy.deepcopy(live)
    replaced["spec"]["versions"][1]["schema"] = {"description": "of an older bootstrap"}
    assert written_by_newer(replaced, crd("v1"), "osm-edge", OURS) is None
    dropped = copy.deepcopy(live)
    del dropped["spec"]["versions"][1]
    assert written_by_newer(dropped, crd("v1"), "osm-edge", OURS) is None


def test_a_switch_of_storage_and_a_version_that_was_not_shipped_leave_the_mark_true() -> None:
    live = marked(crd("v1", "v2", "v0", written_by="osm-edge/9.0.0"), "v1", "v2")
    for version in live["spec"]["versions"]:
        version["storage"] = version["name"] == "v2"
    del live["spec"]["versions"][2]
    assert written_by_newer(live, crd("v1"), "osm-edge", OURS) == "9.0.0"


def test_versions_that_are_not_served_do_not_count() -> None:
    obj = crd("v1", "v2")
    obj["spec"]["versions"][0]["served"] = False
    assert served_names(obj) == {"v2"}
