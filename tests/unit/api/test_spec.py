"""The models of spec read what the CRD lets in, and say what is wrong with the rest."""

import json
import re
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from meshupgrade.api.v1alpha1.data_plane import Restart
from meshupgrade.api.v1alpha1.findings import RISKS, FindingName
from meshupgrade.api.v1alpha1.rules import DURATION_PATTERN, parse_duration
from meshupgrade.api.v1alpha1.schema import structural_schema
from meshupgrade.api.v1alpha1.spec import (
    Approval,
    CRDPolicy,
    CRDSource,
    DistributionName,
    DriftPolicy,
    MeshConfigDefaults,
    MeshUpgradeSpec,
    Mode,
    OnFailure,
    PathPolicy,
    ValuesKind,
    ValuesPolicy,
)
from meshupgrade.api.v1alpha1.version_pattern import VERSION_OR_RANGE_PATTERN
from meshupgrade.api.v1alpha1.windows import Day
from meshupgrade.domain.ranges import parse_range

SCHEMA = structural_schema(MeshUpgradeSpec)
MINIMAL = {"version": "1.2.3", "mesh": {"distribution": "osm-edge"}}

references = st.fixed_dictionaries({"name": st.sampled_from(["a", "b"])})
free_objects = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner), max_leaves=4
    ),
    max_size=3,
)


def objects(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


durations = st.builds("{}h{}m{}s".format, st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
versions = st.from_regex(VERSION_OR_RANGE_PATTERN, fullmatch=True).filter(
    lambda text: len(text) <= 128 and "\n" not in text
)
clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
windows = objects(
    {"start": clocks, "end": clocks},
    {
        "days": st.lists(st.sampled_from([str(day) for day in Day]), min_size=1, unique=True),
        "timeZone": st.sampled_from(["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires"]),
    },
)
labels = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["", "x"]), max_size=2)
expressions = st.lists(
    objects(
        {"key": st.just("a"), "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"])},
        {"values": st.lists(st.just("x"), max_size=1)},
    ),
    max_size=2,
)
images = st.sampled_from(["prom/prometheus:v2", "r.example:5000/a/b@sha256:0"])
specs = objects(
    {
        "version": versions,
        "mesh": objects(
            {"distribution": st.sampled_from([str(name) for name in DistributionName])},
            {"name": st.from_regex(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?", fullmatch=True)},
        ),
    },
    {
        "chart": objects(
            {},
            {
                "repository": st.sampled_from(
                    ["https://charts.example/a", "http://r.example", "oci://r.example/charts"]
                ),
                "name": st.sampled_from(["osm", "osm-edge"]),
                "secretRef": references,
                "certSecretRef": references,
                "verify": objects({"keyringSecretRef": references}, {}),
                "insecure": st.booleans(),
            },
        ),
        "values": free_objects,
        "valuesFrom": st.lists(
            objects(
                {"kind": st.sampled_from([str(kind) for kind in ValuesKind]), "name": st.just("a")},
                {
                    "key": st.just("values.yaml"),
                    "targetPath": st.just("osm.a"),
                    "literal": st.booleans(),
                    "optional": st.booleans(),
                },
            ),
            max_size=2,
        ),
        "installIfMissing": st.booleans(),
        "mode": st.sampled_from([str(mode) for mode in Mode]),
        "driftPolicy": st.sampled_from([str(policy) for policy in DriftPolicy]),
        "suspend": st.booleans(),
        "interval": durations,
        "valuesPolicy": st.sampled_from([str(policy) for policy in ValuesPolicy]),
        "upgrade": objects(
            {},
            {
                "acceptRisks": st.lists(st.sampled_from([str(risk) for risk in RISKS]), unique=True),
                "timeout": durations,
                "retries": st.integers(0, 10),
                "onFailure": st.sampled_from([str(choice) for choice in OnFailure]),
                "windows": st.lists(windows, max_size=2),
                "path": st.sampled_from([str(choice) for choice in PathPolicy]),
                "approval": st.sampled_from([str(choice) for choice in Approval]),
            },
        ),
        "crds": objects(
            {},
            {
                "policy": st.sampled_from([str(policy) for policy in CRDPolicy]),
                "source": st.sampled_from([str(source) for source in CRDSource]),
                "configMapRef": references,
                "imageRef": st.just("r.example/a@sha256:0"),
                "secretRef": references,
                "certSecretRef": references,
                "insecure": st.booleans(),
                "migrateStorage": st.booleans(),
                "namespaces": st.just({"a.example": "default"}),
            },
        ),
        "meshConfig": objects(
            {}, {"patch": free_objects, "defaults": st.sampled_from([str(choice) for choice in MeshConfigDefaults])}
        ),
        "dataPlane": objects(
            {},
            {
                "restart": st.sampled_from([str(choice) for choice in Restart]),
                "sidecarImage": st.just("r.example/pipy:1@sha256:0"),
                "canary": objects({"namespace": st.just("canary")}, {"soak": durations}),
                "maxUnavailable": st.integers(1, 10**6) | st.builds("{}%".format, st.integers(1, 100)),
                "namespaceSelector": objects({}, {"matchLabels": labels, "matchExpressions": expressions}),
                "exclude": st.lists(
                    objects(
                        {},
                        {
                            "namespace": st.just("shop"),
                            "kind": st.sampled_from(["Deployment", "StatefulSet", "DaemonSet"]),
                            "name": st.just("cart"),
                        },
                    ),
                    max_size=2,
                ),
                "failureThreshold": st.integers(0, 1000),
                "timeout": durations,
            },
        ),
        "addons": objects({}, dict.fromkeys(("prometheus", "grafana", "jaeger"), objects({"image": images}, {}))),
        "fieldOfANewerOperator": st.integers(),
    },
)


@given(specs)
def test_what_the_schema_lets_in_is_read_and_kept(spec: dict[str, Any]) -> None:
    jsonschema.validate(spec, SCHEMA)
    known = {key: value for key, value in spec.items() if key != "fieldOfANewerOperator"}
    read = MeshUpgradeSpec.model_validate(spec).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert json.dumps(read, sort_keys=True) == json.dumps(known, sort_keys=True)


def test_the_strategy_above_names_every_field() -> None:
    assert set(SCHEMA["properties"]) == {
        "version", "mesh", "chart", "values", "valuesPolicy", "valuesFrom", "installIfMissing", "upgrade", "crds",
        "meshConfig", "dataPlane", "addons", "mode", "suspend", "interval", "driftPolicy",
    }  # fmt: skip


def test_defaults() -> None:
    spec = MeshUpgradeSpec.model_validate(MINIMAL)
    assert spec.mesh.name is None
    assert spec.chart.repository is None
    assert spec.values == {}
    assert spec.values_policy is ValuesPolicy.RESET
    assert spec.upgrade.accept_risks == []
    assert parse_duration(spec.upgrade.timeout) == timedelta(minutes=5)
    assert spec.upgrade.retries == 2
    assert spec.mesh_config.patch == {}
    assert (spec.data_plane.restart, spec.data_plane.max_unavailable) == (Restart.NEVER, "25%")


@pytest.mark.parametrize(
    ("upgrade", "data_plane", "timeout"),
    [({}, {}, "10m"), ({"timeout": "2m"}, {}, "2m"), ({"timeout": "2m"}, {"timeout": "1h"}, "1h")],
)
def test_how_long_a_wave_may_take(upgrade: dict[str, str], data_plane: dict[str, str], timeout: str) -> None:
    spec = MeshUpgradeSpec.model_validate({**MINIMAL, "upgrade": upgrade, "dataPlane": data_plane})
    assert spec.wave_timeout == timeout


@pytest.mark.parametrize("share", [0, -1, "0%", "101%", "25", "a%", "", "25 %"])
def test_no_share_of_the_workloads(share: object) -> None:
    with pytest.raises(ValidationError, match="1%"):
        MeshUpgradeSpec.model_validate({**MINIMAL, "dataPlane": {"maxUnavailable": share}})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"version": None}, ("version",)),
        ({"version": "1" * 129}, ("version",)),
        ({"mesh": {}}, ("mesh", "distribution")),
        ({"mesh": {"distribution": "istio"}}, ("mesh", "distribution")),
        ({"mesh": {"distribution": "osm", "name": ""}}, ("mesh", "name")),
        ({"mesh": {"distribution": "osm", "name": "a" * 54}}, ("mesh", "name")),
        ({"mesh": {"distribution": "osm", "name": "Osm"}}, ("mesh", "name")),
        ({"mesh": {"distribution": "osm", "name": "osm-"}}, ("mesh", "name")),
        ({"valuesPolicy": "Keep"}, ("valuesPolicy",)),
        ({"upgrade": {"retries": 11}}, ("upgrade", "retries")),
        ({"upgrade": {"retries": -1}}, ("upgrade", "retries")),
        ({"upgrade": {"timeout": "soon"}}, ("upgrade", "timeout")),
        ({"upgrade": {"timeout": "0s"}}, ("upgrade", "timeout")),
        ({"upgrade": {"acceptRisks": ["Prerelease"] * (len(RISKS) + 1)}}, ("upgrade", "acceptRisks")),
        ({"upgrade": {"windows": [{"start": "01:00", "end": "02:00"}] * 17}}, ("upgrade", "windows")),
        (
            {"upgrade": {"windows": [{"start": "01:00", "end": "02:00", "timeZone": "Mars/Olympus"}]}},
            ("upgrade", "windows", 0, "timeZone"),
        ),
        ({"values": []}, ("values",)),
        ({"chart": {"name": ""}}, ("chart", "name")),
        ({"crds": {"imageRef": ""}}, ("crds", "imageRef")),
        ({"dataPlane": {"restart": "Sometimes"}}, ("dataPlane", "restart")),
        ({"dataPlane": {"failureThreshold": -1}}, ("dataPlane", "failureThreshold")),
        ({"dataPlane": {"canary": {"soak": "5m"}}}, ("dataPlane", "canary", "namespace")),
        ({"dataPlane": {"exclude": [{"kind": "Job"}]}}, ("dataPlane", "exclude", 0, "kind")),
        ({"addons": {"grafana": {}}}, ("addons", "grafana", "image")),
    ],
)
def test_what_is_wrong_is_named_by_its_place(change: dict[str, Any], where: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        MeshUpgradeSpec.model_validate(MINIMAL | change)
    assert [error["loc"] for error in caught.value.errors()] == [where]


def test_every_risk_is_the_name_of_a_finding() -> None:
    assert all(isinstance(risk, FindingName) for risk in RISKS)
    assert len(set(RISKS)) == len(RISKS)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1h0m5s", timedelta(seconds=3605)),
        ("2h5s", timedelta(seconds=7205)),
        ("24h", timedelta(days=1)),
        ("05m", timedelta(minutes=5)),
    ],
)
def test_durations(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "1.5h", "5m1h", "5M", "5m ", "5m\n", "1d", "100ms", "0s", "0h0m0s", "٥m"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


def test_a_duration_beyond_all_bounds_is_refused_like_any_other() -> None:
    with pytest.raises(ValueError):
        parse_duration("999999999999999h")


@given(
    st.one_of(
        st.text("0123456789hms. -", max_size=9),
        st.from_regex(r"^(\d{1,2}h)?(\d{1,2}m)?(\d{1,2}s)?$", fullmatch=True),
        st.text(max_size=5),
    )
)
def test_the_schema_and_the_parser_agree_on_durations(text: str) -> None:
    try:
        length = parse_duration(text)
    except ValueError:
        length = None
    zero = not re.search("[1-9]", text)
    assert (length is not None) == (re.fullmatch(DURATION_PATTERN, text) is not None and not zero)


almost_versions = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "v", "vv", "V", " "]),
    st.lists(st.sampled_from(["0", "1", "01", "10", "", "x", "-1"]), min_size=2, max_size=4).map(".".join),
    st.sampled_from(["", "-", "-rc.1", "-rc.01", "-01", "-0a", "-a..b", "-a-b", "--", "-rc_1", "-é"]),
    st.sampled_from(["", "+", "+1", "+001.a", "+a+b", "+a.", "\n"]),
)


@given(st.one_of(versions, almost_versions, st.text("v0123456789.-+abc", max_size=14), st.text(max_size=8)))
def test_the_schema_and_the_parser_agree_on_versions(text: str) -> None:
    try:
        parse_range(text)
        taken = True
    except ValueError:
        taken = False
    assert taken == (re.fullmatch(VERSION_OR_RANGE_PATTERN, text) is not None)
