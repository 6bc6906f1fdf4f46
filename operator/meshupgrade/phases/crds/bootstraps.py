"""The bootstraps of all meshes in the cluster: the programs that write CRDs besides us."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import semver

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import BootstrapFacts, load_distribution
from meshupgrade.kube.client import Kube, ObjectRef

__all__ = ["Bootstrap", "find_bootstraps", "reconcile_labels"]

VERSION_LABEL = "app.kubernetes.io/version"


@dataclass(frozen=True)
class Bootstrap:
    """One bootstrap Deployment, and what its distribution's releases do with CRDs."""

    deployment: Mapping[str, Any]
    facts: tuple[BootstrapFacts, ...]
    """Of every distribution whose bootstrap has this name: osm and osm-edge cannot be told apart by it."""

    @property
    def ref(self) -> ObjectRef:
        """The reference to the Deployment."""
        return ObjectRef.of(self.deployment)

    @property
    def namespace(self) -> str:
        """The namespace of its mesh."""
        return str(self.deployment["metadata"]["namespace"])

    @property
    def replicas(self) -> int:
        """How many Pods it is to have."""
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def version(self) -> semver.Version | None:
        """The version of its mesh, as its labels tell it."""
        labels = self.deployment["spec"]["template"]["metadata"].get("labels") or {}
        text = str(labels.get(VERSION_LABEL, "")).removeprefix("v")
        return semver.Version.parse(text) if semver.Version.is_valid(text) else None

    @property
    def reconciles(self) -> bool:
        """Whether it puts CRDs back at once when others change them; a bare flag switches that on as well."""
        given = [
            argument.partition("=")
            for container in self.deployment["spec"]["template"]["spec"]["containers"]
            for argument in (*(container.get("command") or ()), *(container.get("args") or ()))
        ]
        flags = {facts.reconcile_flag for facts in self.facts}
        values = [value.lower() for name, _, value in given if name in flags]
        return bool(values) and values[-1] in ("", "1", "t", "true")

    @property
    def replaces(self) -> bool:
        """Whether a start of it replaces the CRDs that are there by its own, and does not merge them."""
        since = [facts.merges_since for facts in self.facts]
        version = self.version
        return version is None or any(first is None or version < semver.Version.parse(first) for first in since)

    @property
    def settled(self) -> bool:
        """Whether all its Pods have started, so that none of them is writing its CRDs now."""
        status = self.deployment.get("status") or {}
        ready = int(status.get("readyReplicas") or 0)
        return ready == int(status.get("replicas") or 0) and ready >= self.replicas

    def brings(self, groups: Iterable[str]) -> bool:
        """Tell whether its releases bring CRDs of one of these API groups."""
        domains = [domain for facts in self.facts for domain in facts.crd_domains]
        return any(group == domain or group.endswith(f".{domain}") for group in groups for domain in domains)


@cache
def _facts() -> Mapping[str, tuple[BootstrapFacts, ...]]:
    found: dict[str, tuple[BootstrapFacts, ...]] = {}
    for name in DistributionName:
        facts = load_distribution(name).bootstrap
        found[facts.deployment] = (*found.get(facts.deployment, ()), facts)
    return found


def reconcile_labels() -> frozenset[str]:
    """Give the labels by which the reconcilers of all distributions know the CRDs that they keep."""
    return frozenset(facts.reconcile_label for several in _facts().values() for facts in several)


async def find_bootstraps(kube: Kube) -> list[Bootstrap]:
    """Give the bootstraps of all meshes, in all namespaces."""
    found = await asyncio.gather(*(_named(kube, name, facts) for name, facts in _facts().items()))
    return [bootstrap for several in found for bootstrap in several]


async def _named(kube: Kube, name: str, facts: tuple[BootstrapFacts, ...]) -> list[Bootstrap]:
    listed = kube.list_objects("apps/v1", "Deployment", fields=f"metadata.name={name}")
    return [Bootstrap(deployment, facts) async for deployment in listed]
