"""Which sidecar images of a MeshConfig are not those of the new release."""

import json
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution
from meshupgrade.helm.release import Release
from meshupgrade.phases.preflight.sidecar_image import CHECK, stale_findings
from tests.unit.phases.preflight.releases import deployment, rendered
from tests.unit.phases.works import make_work

EDGE, OSM = load_distribution(DistributionName.OSM_EDGE), load_distribution(DistributionName.OSM)


def preset(**sidecar: Any) -> dict[str, Any]:
    return {"sidecar": sidecar}


def release(spec: dict[str, Any], *, injector: str = "") -> Release:
    variable = {"name": "OSM_DEFAULT_SIDECAR_IMAGE", "value": injector}
    return rendered(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "preset-mesh-config"},
            "data": {"preset-mesh-config.json": json.dumps(spec)},
        },
        deployment("osm-injector", {"name": "osm-injector", "image": "i", "env": [variable]}),
    )


def driver(image: str, name: str = "pipy") -> dict[str, Any]:
    return {"sidecarName": name, "sidecarImage": image, "proxyServerPort": 6060}


OLD, NEW = release(preset(sidecarImage="pipy:1")), release(preset(sidecarImage="pipy:2"))
OLD_DRIVER = release(preset(sidecarClass="pipy", sidecarDrivers=[driver("pipy:1")]))
DRIVERS = release(preset(sidecarImage="", sidecarClass="pipy", sidecarDrivers=[driver("pipy:2")]))


@pytest.mark.parametrize(
    ("live", "before", "new", "severity"),
    [
        (preset(sidecarImage="pipy:2"), OLD, NEW, None),
        (preset(sidecarImage="pipy:1"), OLD, NEW, Severity.WARNING),
        (preset(sidecarImage="pipy:1"), None, NEW, Severity.INFO),
        # Where the preset of before names none, its driver's is the default, then the injector's.
        (preset(sidecarImage="pipy:1"), release({}), NEW, Severity.INFO),
        (preset(sidecarImage="pipy:1"), OLD_DRIVER, NEW, Severity.WARNING),
        (preset(sidecarImage="mine:1"), OLD_DRIVER, NEW, Severity.INFO),
        (preset(sidecarImage="pipy:1"), release({}, injector="pipy:1"), NEW, Severity.WARNING),
        (preset(sidecarImage="mine:1"), release({}, injector="pipy:1"), NEW, Severity.INFO),
        (preset(sidecarImage="mine:1"), OLD, NEW, Severity.INFO),
        (preset(sidecarImage=""), OLD, NEW, None),
        ({}, OLD, NEW, None),
        # Where the preset names none, its driver's counts, then the injector's.
        (preset(sidecarImage="pipy:1"), OLD, DRIVERS, Severity.WARNING),
        (preset(sidecarImage="pipy:1"), OLD, release({}, injector="pipy:3"), Severity.WARNING),
        (preset(sidecarImage="pipy:1"), OLD, release({}), None),
        (preset(sidecarDrivers=[driver("pipy:1")]), OLD_DRIVER, DRIVERS, Severity.WARNING),
        (preset(sidecarDrivers=[driver("pipy:2"), driver("e:1", "envoy")]), None, DRIVERS, None),
        (preset(sidecarDrivers=[driver("mine:1")]), OLD_DRIVER, DRIVERS, Severity.INFO),
        (preset(sidecarDrivers=[driver("pipy:1")]), OLD, DRIVERS, Severity.INFO),
    ],
)  # fmt: skip
def test_what_is_stale(live: dict[str, Any], before: Release | None, new: Release, severity: Severity | None) -> None:
    found = stale_findings(live, before, new, EDGE)
    assert [item.severity for item in found] == ([severity] if severity else [])
    assert all(item.name is FindingName.SIDECAR_IMAGE_STALE for item in found)


def test_the_remedy_is_the_patch_that_is_needed() -> None:
    live = preset(sidecarImage="pipy:1", sidecarDrivers=[driver("pipy:1"), driver("e:1", "envoy")])
    new = release(preset(sidecarImage="pipy:2", sidecarDrivers=[driver("pipy:2")]))
    (found,) = stale_findings(live, release(live), new, EDGE)
    assert "spec.meshConfig.defaults to Merge" in found.remedy
    assert "spec.dataPlane.sidecarImage to pipy:2;" in found.remedy
    patch = json.loads(found.remedy.partition("spec.meshConfig.patch to ")[2].partition(". spec.")[0])
    assert patch == {
        "sidecar": {"sidecarImage": "pipy:2", "sidecarDrivers": [driver("pipy:2"), driver("e:1", "envoy")]}
    }


@pytest.mark.parametrize(
    ("image", "before", "merges", "advised"),
    [
        ("pipy:1", OLD, False, True),
        ("pipy:1", OLD, True, False),
        ("mine:1", OLD, False, False),
        ("mine:1", OLD, True, False),
        ("pipy:1", None, False, False),
        # A merge does not know that field as a default.
        ("pipy:1", release({}, injector="pipy:1"), False, False),
    ],
)
def test_to_merge_defaults_is_advised_only_where_it_helps(
    image: str, before: Release | None, merges: bool, advised: bool
) -> None:
    (found,) = stale_findings(preset(sidecarImage=image), before, NEW, EDGE, merges=merges)
    assert ("Merge" in found.remedy) is advised
    assert found.remedy.startswith("Set spec.dataPlane.sidecarImage to pipy:2;") is not advised


@pytest.mark.parametrize(("image", "told"), [("pipy:1", True), ("pipy", True), ("pipy:1@sha256:00", False)])
@pytest.mark.parametrize("restart", ["Never", "WhenOutdated", "Always"])
async def test_a_sidecar_named_by_a_tag(image: str, told: bool, restart: str) -> None:
    found = await CHECK.run(make_work({"dataPlane": {"sidecarImage": image, "restart": restart}}))
    assert [(item.name, item.severity) for item in found] == [(FindingName.NOT_DIGEST_PINNED, Severity.INFO)] * told


def test_osm_has_its_own_field() -> None:
    (found,) = stale_findings(preset(envoyImage="envoy:1"), None, release(preset(envoyImage="envoy:2")), OSM)
    assert "spec.sidecar.envoyImage is envoy:1, the release ships envoy:2" in found.message


def test_a_preset_that_cannot_be_read_says_nothing() -> None:
    broken = rendered(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "preset-mesh-config"},
            "data": {"preset-mesh-config.json": "{no json"},
        }
    )
    assert stale_findings(preset(sidecarImage="pipy:1"), None, broken, EDGE) == []
