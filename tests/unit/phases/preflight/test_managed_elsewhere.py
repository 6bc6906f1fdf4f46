"""Whether Flux manages the release."""

import dataclasses

import pytest
import yaml

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.phases.preflight.managed_elsewhere import check
from tests.unit.phases.works import make_release, make_work

MARKS = {"helm.toolkit.fluxcd.io/name": "mesh", "helm.toolkit.fluxcd.io/namespace": "flux"}


def manifest(labels: dict[str, str] | None) -> str:
    metadata = {"name": "osm"} | ({"labels": labels} if labels else {})
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})


async def test_flux_is_told_by_its_labels() -> None:
    live = dataclasses.replace(make_release(), manifest=manifest(MARKS))
    (finding,) = await check(make_work(live=live))
    assert (finding.name, finding.severity) == (FindingName.MANAGED_ELSEWHERE, Severity.WARNING)
    assert "HelmRelease flux/mesh" in finding.message


@pytest.mark.parametrize("labels", [None, {"app": "osm"}])
async def test_any_other_release_is_nobodys(labels: dict[str, str] | None) -> None:
    live = dataclasses.replace(make_release(), manifest=manifest(labels))
    assert await check(make_work(live=live)) == []


async def test_no_release() -> None:
    assert await check(make_work()) == []
