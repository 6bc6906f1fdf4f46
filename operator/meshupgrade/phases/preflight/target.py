"""Makes the target: the chart fetched, its values computed, rendered by Helm against the server, its CRDs read.

What keeps the target from being made is a finding here: ChartNotFound, RenderFailed, ValuesInvalid, KubernetesTooOld
and TooNew, RemovedAPIs, CRDSourceUnavailable.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import OWNER_LABEL, owner_value
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.object_changes import random_fields
from meshupgrade.domain.secrets import texts
from meshupgrade.helm.archive import calls_random, read_defaults
from meshupgrade.helm.chart_cache import ChartArchive, ChartCache
from meshupgrade.helm.charts import fetch_chart
from meshupgrade.helm.driver import UpgradeRequest
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
from meshupgrade.helm.repository import RepositoryError
from meshupgrade.phases.chart_source import repository_finding
from meshupgrade.phases.fit import desired_defaults, desired_values
from meshupgrade.phases.preflight.check import together
from meshupgrade.phases.preflight.crd_source import target_crds
from meshupgrade.phases.preflight.provenance import NotVerified, verify_chart
from meshupgrade.phases.references import ReferenceInvalid
from meshupgrade.phases.shape import Busy, Target, Work

__all__ = ["make"]

logger = logging.getLogger(__name__)


async def make(work: Work) -> list[Finding]:
    """Put the target into the Work, or give what keeps it from being made.

    Raises HelmUnreachable, HelmTimedOut, RepositoryUnreachable, RegistryUnreachable and Busy, which are worth another
    try.
    """
    if work.value_findings:
        return list(work.value_findings)
    archive = await _archive(work)
    if isinstance(archive, Finding):
        return [archive]
    try:
        defaults = await asyncio.to_thread(read_defaults, archive.path)
        work.chart_defaults = defaults
        work.tools.secrets.keep(work.owner, (), public=texts(defaults))
        request = _request(work, archive.path, desired_defaults(work, defaults))
        rendered = await work.tools.helm.dry_run(request)
    except (HelmUnreachable, HelmTimedOut):
        raise
    except ReleaseLocked as error:
        raise Busy(f"another Helm operation works on release {work.release}; it is waited for") from error
    except HelmError as error:
        return [await _render_finding(work, error)]
    crds = await target_crds(work, archive, rendered)
    if isinstance(crds, Finding):
        return [crds]
    random = await _random_fields(work, archive, request)
    work.target = Target(archive.path, archive.digest, request, rendered, crds.crds, crds.digest, random)
    return []


async def _random_fields(work: Work, archive: ChartArchive, request: UpgradeRequest) -> frozenset[tuple[str, str]]:
    """Give the fields that the chart renders anew each time, as two renderings that ask no cluster show them."""
    if not await asyncio.to_thread(calls_random, archive.path):
        return frozenset()
    version = await work.tools.kube.server_version()
    try:
        one, other = await together(*(work.tools.helm.render(request, version) for _ in range(2)))
    except HelmError as error:
        # A chart that cannot be rendered without a cluster: its plans differ from time to time.
        logger.info("%s: the chart cannot be rendered by itself: %s", work.owner, error)
        return frozenset()
    return random_fields(one, other, work.namespace)


async def _archive(work: Work) -> ChartArchive | Finding:
    """Fetch the chart, and verify where it comes from when the spec wants it."""
    assert work.source is not None
    verify = work.spec.chart.verify
    cache = ChartCache(work.tools.cache / "charts")
    try:
        archive = await fetch_chart(work.tools.http, cache, work.source, work.charts[0], provenance=verify is not None)
        if verify is not None:
            await verify_chart(work, archive, verify)
    except ReferenceInvalid as error:
        return error.finding
    except NotVerified as error:
        return error.finding
    except RepositoryError as error:
        if error.transient:
            raise
        return repository_finding(error, Phase.PREFLIGHT)
    return archive


def _request(work: Work, chart: Path, defaults: Mapping[str, Any] | None) -> UpgradeRequest:
    return UpgradeRequest(
        release=work.release,
        namespace=work.namespace,
        chart=chart,
        values=desired_values(work),
        defaults=defaults,
        install=work.live is None,
        timeout=work.timeout,
        description=f"meshupgrade {work.uid}/{work.generation}",
        labels={OWNER_LABEL: owner_value(work.uid, work.next_revision())},
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
