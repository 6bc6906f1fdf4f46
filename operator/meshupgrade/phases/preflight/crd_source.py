"""Where the CRDs of the target are read: an image, the chart's crds/ folders, or a ConfigMap.

What keeps them from being read is a finding: CRDSourceUnavailable, or ReferenceInvalid for what the spec names.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.spec import CRDPolicy, CRDSource
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.chart_cache import ChartArchive
from meshupgrade.helm.chart_crds import read_chart_crds
from meshupgrade.helm.release import Release
from meshupgrade.oci import Credentials, ImageCRDs, ImageInvalid, NoCRDs, OCIError, parse_reference, read_crds
from meshupgrade.oci.documents import crds_in_texts
from meshupgrade.phases.logins import named_logins, named_tls
from meshupgrade.phases.preflight.crd_unavailable import (
    chart_has_none,
    chart_unreadable,
    image_unavailable,
    no_bootstrap,
)
from meshupgrade.phases.preflight.pull_secrets import pull_logins
from meshupgrade.phases.references import ReferenceInvalid, read_config_map
from meshupgrade.phases.shape import Superseded, Work

__all__ = ["TargetCRDs", "bootstrap_image", "release_crds", "target_crds"]

PAUSES = (1.0, 3.0)
"""Seconds between the tries to reach a registry, before its silence is a finding."""


@dataclass(frozen=True)
class TargetCRDs:
    """The CRDs that a target brings, and the digest of where they were read."""

    crds: Sequence[Mapping[str, Any]] = ()
    digest: str = ""


async def target_crds(work: Work, archive: ChartArchive, rendered: Release) -> TargetCRDs | Finding:
    """Give the CRDs of the target, or what keeps them from being read; none when the spec says to skip them.

    Raises Superseded, and the errors of kube. RegistryUnreachable and ScratchUnavailable are raised only half-way
    through an upgrade, which waits rather than to count as failed. Before that, silence is a finding as any other.
    """
    crds = work.spec.crds
    if crds.policy is CRDPolicy.SKIP:
        return TargetCRDs()
    try:
        if crds.source is CRDSource.CONFIG_MAP:
            return await _from_config_map(work)
        if crds.source is CRDSource.CHART:
            return await _from_chart(archive, rendered) or chart_has_none(rendered)
        return await _from_image(work, archive, rendered)
    except ReferenceInvalid as error:
        return error.finding


async def _from_image(work: Work, archive: ChartArchive, rendered: Release) -> TargetCRDs | Finding:
    """Read the image; with Auto, fall back on the chart when it names none, or one that has no CRDs in it."""
    crds = work.spec.crds
    fallback = crds.source is CRDSource.AUTO and not crds.image_ref
    image = crds.image_ref or bootstrap_image(work, rendered.objects())
    if image is None:
        return (await _from_chart(archive, rendered) if fallback else None) or no_bootstrap(work, rendered)
    passed_over: list[str] = []
    try:
        read = await _read_patiently(work, image, rendered, passed_over)
    except OCIError as error:
        if error.transient and work.half_way:
            raise
        found = await _from_chart(archive, rendered) if fallback and isinstance(error, NoCRDs) else None
        return found or image_unavailable(work, image, error, passed_over)
    return TargetCRDs(read.crds, read.digest)


async def _read_patiently(work: Work, image: str, rendered: Release, passed_over: list[str]) -> ImageCRDs:
    crds, reference = work.spec.crds, parse_reference(image)
    tls = await named_tls(work, crds.cert_secret_ref, field="spec.crds.certSecretRef")
    if crds.secret_ref is not None:
        logins = await named_logins(work, crds.secret_ref, reference, field="spec.crds.secretRef")
        if not logins:
            passed_over.append(f"Secret {crds.secret_ref.name} has no login for {reference.registry}")
        ways: Sequence[Credentials | None] = logins or (None,)
    else:
        pull = await pull_logins(work, rendered.objects(), reference)
        passed_over += pull.passed_over
        # A login that ran out does not hide what everybody may read.
        ways = (*pull.logins, None)
    pauses = iter(PAUSES)
    while True:
        try:
            return await read_crds(
                image,
                work.distribution.bootstrap.crd_folder,
                session=work.tools.http,
                insecure=crds.insecure,
                logins=ways,
                tls=tls,
                cache_dir=work.tools.cache / "crds",
            )
        except OCIError as error:
            pause = next(pauses, None)
            if not error.transient or pause is None:
                raise
        await asyncio.sleep(pause)
        if work.superseded():
            raise Superseded


async def _from_chart(archive: ChartArchive, rendered: Release) -> TargetCRDs | Finding | None:
    """Give what is in the crds/ folders of the chart, None when there is nothing."""
    try:
        crds = await asyncio.to_thread(read_chart_crds, archive.path, rendered.dependencies)
    except ImageInvalid as error:
        return chart_unreadable(rendered, error)
    return TargetCRDs(crds, archive.digest) if crds else None


async def _from_config_map(work: Work) -> TargetCRDs:
    field, named = "spec.crds.configMapRef", work.spec.crds.config_map_ref
    if named is None:
        raise ReferenceInvalid(field, "spec.crds.source ConfigMap needs one", f"Name it in {field}.", Phase.CRDS)
    data = await read_config_map(work, named.name, field=field)
    remedy = "Put the CRDs of this version into it, in YAML, in one key or in many."
    try:
        crds = await asyncio.to_thread(crds_in_texts, {key: text.encode() for key, text in data.items()})
    except ImageInvalid as error:
        raise ReferenceInvalid(field, f"ConfigMap {named.name}: {error}", remedy, Phase.CRDS) from error
    if not crds:
        raise ReferenceInvalid(
            field, f"no key of ConfigMap {named.name} holds a CustomResourceDefinition", remedy, Phase.CRDS
        )
    content = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    return TargetCRDs(crds, f"sha256:{hashlib.sha256(content).hexdigest()}")


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


async def release_crds(work: Work, release: Release) -> Sequence[Mapping[str, Any]] | None:
    """Give the CRDs that the bootstrap of a stored release brings, None when its image cannot be read."""
    image = bootstrap_image(work, release.objects())
    if image is None:
        return None
    try:
        return (await _read_patiently(work, image, release, [])).crds
    except (OCIError, ReferenceInvalid):
        return None
