"""Makes the target: the chart fetched, its values computed, rendered by Helm against the server, its CRDs read.

What keeps the target from being made is a finding here: ChartNotFound, RenderFailed, ValuesInvalid, KubernetesTooOld
and TooNew, RemovedAPIs, CRDSourceUnavailable.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import OWNER_LABEL
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.charts import fetch_chart
from meshupgrade.helm.driver import ChartSource, UpgradeRequest
from meshupgrade.helm.errors import (
    HelmError,
    HelmTimedOut,
    HelmUnreachable,
    KindsNotServed,
    KubernetesUnsupported,
    ReleaseLocked,
    RenderError,
    ValuesRejected,
)
from meshupgrade.helm.release import Release
from meshupgrade.oci import ImageCRDs, OCIError, read_crds
from meshupgrade.phases.fit import desired_values
from meshupgrade.phases.shape import Busy, Target, Work

__all__ = ["bootstrap_image", "make", "owner_label"]


def owner_label(work: Work, revision: int) -> str:
    """Give the label value that marks a revision as made by this object.

    It names the revision, since Helm hands labels on from one revision to the next, whoever makes it.
    """
    return f"{work.uid}.{revision}"


async def make(work: Work) -> list[Finding]:
    """Put the target into the Work, or give what keeps it from being made.

    Raises HelmUnreachable, HelmTimedOut, RegistryUnreachable and Busy, which are worth another try.
    """
    assert work.chart is not None
    source = ChartSource(work.repository, work.chart_name, work.chart.raw_version, work.spec.chart.insecure)
    try:
        archive = await fetch_chart(work.tools.helm, work.tools.cache / "charts", source, work.chart.digest)
    except (HelmUnreachable, HelmTimedOut):
        raise
    except HelmError as error:
        return [_not_fetched(source, error)]
    request = _request(work, archive.path)
    try:
        rendered = await work.tools.helm.dry_run(request)
    except (HelmUnreachable, HelmTimedOut):
        raise
    except ReleaseLocked as error:
        raise Busy(f"another Helm operation works on release {work.release}; it is waited for") from error
    except HelmError as error:
        return [await _render_finding(work, error)]
    image = work.spec.crds.image_ref or bootstrap_image(work, rendered.objects())
    if image is None:
        return [_no_bootstrap(work, rendered)]
    try:
        crds = await _read_crds(work, image)
    except OCIError as error:
        if error.transient:
            raise
        return [_crds_unavailable(image, error)]
    work.target = Target(archive.path, archive.digest, request, rendered, crds.crds, crds.digest)
    return []


def bootstrap_image(work: Work, objects: Sequence[Mapping[str, Any]]) -> str | None:
    """Give the image that carries the CRDs: that of the first of the known containers of the bootstrap Deployment."""
    facts = work.distribution.bootstrap
    for obj in objects:
        if obj["kind"] != "Deployment" or obj["metadata"]["name"] != facts.deployment:
            continue
        pod = obj["spec"]["template"]["spec"]
        images = {
            container["name"]: container["image"]
            for container in [*(pod.get("initContainers") or []), *pod["containers"]]
        }
        return next((images[name] for name in facts.containers if name in images), None)
    return None


def _request(work: Work, chart: Path) -> UpgradeRequest:
    revision = work.revisions[0].revision + 1
    return UpgradeRequest(
        release=work.release,
        namespace=work.namespace,
        chart=chart,
        values=desired_values(work),
        policy=work.spec.values_policy,
        timeout=work.timeout,
        description=f"meshupgrade {work.uid}/{work.generation}",
        labels={OWNER_LABEL: owner_label(work, revision)},
    )


async def _read_crds(work: Work, image: str) -> ImageCRDs:
    return await read_crds(
        image,
        work.distribution.bootstrap.crd_folder,
        session=work.tools.http,
        insecure=work.spec.crds.insecure,
        cache_dir=work.tools.cache / "crds",
    )


async def _render_finding(work: Work, error: HelmError) -> Finding:
    name, remedy = FindingName.RENDER_FAILED, "Helm cannot try the upgrade; what it complains of is in the message."
    match error:
        case ValuesRejected():
            name = FindingName.VALUES_INVALID
            remedy = "Correct spec.values; the chart's values.schema.json says what it takes."
        case KubernetesUnsupported():
            name = _kubernetes_finding(str(error), await work.tools.kube.server_version())
            remedy = "Choose a chart version that supports this Kubernetes version, or change the cluster's."
        case KindsNotServed():
            return _removed_apis(str(error))
        case RenderError():
            name = FindingName.RENDER_FAILED
            remedy = "Correct spec.values; what the chart complains of is in the message."
        case _ if "is forbidden" in str(error):
            name, remedy = FindingName.FORBIDDEN, "Give the operator's account the right that is named."
    return Finding(name=name, severity=Severity.ERROR, phase=Phase.PREFLIGHT, message=str(error), remedy=remedy)


def _not_fetched(source: ChartSource, error: HelmError) -> Finding:
    return Finding(
        name=FindingName.CHART_NOT_FOUND,
        severity=Severity.ERROR,
        phase=Phase.PREFLIGHT,
        message=f"chart {source.name} {source.version} cannot be fetched from {source.repository}: {error}",
        remedy="Check spec.chart and spec.version against what the repository has.",
    )


def _removed_apis(message: str) -> Finding:
    """Name the kinds that are not served, once each, out of Helm's line for every object."""
    kinds = sorted(set(re.findall(r'no matches for kind "([^"]+)" in version "([^"]+)"', message)))
    named = ", ".join(f"{kind} ({version})" for kind, version in kinds) or message
    stored = "current release manifest" in message
    return Finding(
        name=FindingName.REMOVED_APIS,
        severity=Severity.ERROR,
        phase=Phase.PREFLIGHT,
        message=f"the {'release that runs holds' if stored else 'chart makes'} kinds that the API server does not "
        f"serve: {named}",
        remedy="Rewrite the stored release for this API server, with the Helm plugin mapkubeapis or by hand."
        if stored
        else "Switch off, in spec.values, the part of the chart that makes them.",
    )


def _kubernetes_finding(message: str, server: str) -> FindingName:
    """Tell too old from too new by the lower bounds of the chart's kubeVersion in Helm's message."""
    running = semver.Version.parse(server.removeprefix("v").partition("-")[0].partition("+")[0])
    constraint = message.partition("kubeVersion:")[2].partition("which is")[0]
    bounds = re.findall(r"(?:>=?|~|\^|=)\s*v?(\d+\.\d+(?:\.\d+)?)", constraint)
    if any(semver.Version.parse(bound, optional_minor_and_patch=True) > running for bound in bounds):
        return FindingName.KUBERNETES_TOO_OLD
    return FindingName.KUBERNETES_TOO_NEW


def _no_bootstrap(work: Work, rendered: Release) -> Finding:
    facts = work.distribution.bootstrap
    return Finding(
        name=FindingName.CRD_SOURCE_UNAVAILABLE,
        severity=Severity.ERROR,
        phase=Phase.CRDS,
        message=f"chart {rendered.chart_name} {rendered.chart_version} renders no Deployment {facts.deployment} with a "
        f"container {' or '.join(facts.containers)}, whose image carries the CRDs",
        remedy="Check that the chart is one of the distribution, or set spec.crds.imageRef.",
    )


def _crds_unavailable(image: str, error: OCIError) -> Finding:
    return Finding(
        name=FindingName.CRD_SOURCE_UNAVAILABLE,
        severity=Severity.ERROR,
        phase=Phase.CRDS,
        message=f"the CRDs of this version cannot be read out of the image {image}: {error}",
        remedy="Set the image registry and tag in spec.values to an image that exists, or spec.crds.imageRef to one "
        "that carries the CRDs; spec.crds.insecure for a registry that speaks plain http.",
    )
