"""Comparing the CRDs that a release ships with those that live: what would change, and what speaks against it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_VERSIONS
from meshupgrade.domain.crd_changes import CRDChange, ExpectedCRD, Look
from meshupgrade.domain.crd_marks import mark, served_names, written_by_newer
from meshupgrade.domain.crds import (
    LAST_APPLIED,
    NO_CONVERSION,
    dropped_stored_versions,
    drops_webhook,
    has_leftovers,
    immutable_findings,
    is_already,
    merge_crd,
    webhooks,
)
from meshupgrade.domain.exports import ExportBroken
from meshupgrade.domain.scope import only_scope_differs
from meshupgrade.kube.client import crd_ref
from meshupgrade.kube.errors import ApiStatusError, Conflict, Forbidden
from meshupgrade.phases.crds import told
from meshupgrade.phases.crds.bootstraps import Bootstrap
from meshupgrade.phases.crds.export import Export
from meshupgrade.phases.crds.scope_change import begun_changes
from meshupgrade.phases.crds.scope_look import look_at_scope, resumed
from meshupgrade.phases.live_crds import ReadCRD
from meshupgrade.phases.shape import Work

__all__ = ["Looker"]

Object = Mapping[str, Any]


class Looker:
    """Looks at CRDs for one run, with what other meshes there are in mind."""

    def __init__(self, work: Work, bootstraps: Sequence[Bootstrap], read: ReadCRD) -> None:
        self._work = work
        self._read = read
        self._version = work.version
        self._begun: dict[str, Export] = {}
        self._others = [one for one in bootstraps if one.namespace != work.namespace and one.replicas]
        self._older = [one for one in self._others if one.version is None or one.version < self._version]

    async def look_at_all(self, shipped: Sequence[Object]) -> list[Look]:
        """Look at every CRD of the release, and at those whose change of scope has begun."""
        try:
            self._begun = await begun_changes(self._work)
        except ExportBroken as error:
            return [Look("", [told.export_broken(error)])]
        names = {crd["metadata"]["name"] for crd in shipped}
        left = [resumed(self._work, export, None) for name, export in self._begun.items() if name not in names]
        looks = await asyncio.gather(*(self.look_at(crd) for crd in shipped))
        return [*looks, *(Look(change.name, scope=change) for change in left)]

    async def look_again(self, name: str) -> Look:
        """Look anew at a CRD of the release that changed meanwhile."""
        crds = self._work.need_target().crds
        return await self.look_at(next(crd for crd in crds if crd["metadata"]["name"] == name))

    async def look_at(self, shipped: Object) -> Look:
        """Compare one shipped CRD with the live one, and ask the API server about the merged one."""
        name = shipped["metadata"]["name"]
        if name in self._begun:
            return Look(name, scope=resumed(self._work, self._begun[name], shipped))
        live = await self._read(self._work, name)
        if live is None:
            return await self._try(name, None, shipped, [])
        if newer := self._newer(live, shipped):
            return Look(name, [told.written_by_newer(name, newer)], expected=ExpectedCRD(live["spec"], names_of(live)))
        if only_scope_differs(live, shipped):
            blocked, change = await look_at_scope(self._work, live, shipped)
            return Look(name, blocked, scope=change)
        if immutable := immutable_findings(live, shipped):
            return Look(name, immutable)
        findings = []
        if dropped := dropped_stored_versions(live, shipped):
            findings = [told.stored_version_dropped(name, dropped, migrated=self._work.spec.crds.migrate_storage)]
        return await self._try(name, live, shipped, findings)

    async def _try(self, name: str, live: Object | None, shipped: Object, findings: list[Finding]) -> Look:
        author = f"{self._work.distribution.name}/{self._version}"
        merged = merge_crd(live, shipped, written_by=author, conversion=await self._conversion(live, shipped))
        if live is not None and is_already(live, merged) and live["metadata"].get("labels"):
            return Look(name, findings, expected=ExpectedCRD(live["spec"], self._lasting(live, shipped)))
        try:
            spec, replace = await self._dry_run(live, merged)
        except (Conflict, Forbidden):
            raise
        except ApiStatusError as error:
            return Look(name, [*findings, told.rejected(name, error)])
        result = {"spec": spec}
        expected = ExpectedCRD(spec, self._lasting(result, shipped))
        if live is not None and live["spec"] == spec and live["metadata"].get("labels"):
            return Look(name, findings, expected=expected)
        written = mark(result, names_of(shipped))
        merged["metadata"]["annotations"][CRD_WRITTEN_VERSIONS] = written
        replace = replace or LAST_APPLIED in ((live or {"metadata": {}})["metadata"].get("annotations") or {})
        return Look(name, findings, CRDChange(live, merged, spec, replace), expected)

    def _lasting(self, result: Object, shipped: Object) -> frozenset[str]:
        """Give the versions that must stay: where there are older meshes, one may still read what we do not ship."""
        return names_of(result if self._older else shipped)

    async def _dry_run(self, live: Object | None, merged: Mapping[str, Any]) -> tuple[Object, bool]:
        """Give the spec that the API server would make of it, and whether it has to be replaced for that."""
        kube = self._work.tools.kube
        if live is None or not drops_webhook(live, merged):
            spec = (await kube.apply(merged, dry_run=True))["spec"]
            if not has_leftovers(merged["spec"], spec):
                return spec, False
        replaced = [{"op": "replace", "path": "/spec", "value": merged["spec"]}]
        return (await kube.json_patch(crd_ref(merged["metadata"]["name"]), replaced, dry_run=True))["spec"], True

    def _newer(self, live: Object, shipped: Object) -> str | None:
        """Give the version of a newer mesh that wrote the live CRD, or that runs and brings this CRD as well."""
        if marked := written_by_newer(live, shipped, self._work.distribution.name, self._version):
            return marked
        if not served_names(shipped) <= served_names(live):
            return None
        facts = self._work.distribution.bootstrap
        running = [one.version for one in self._others if facts in one.facts and one.brings([live["spec"]["group"]])]
        newest = max((version for version in running if version is not None), default=None)
        return str(newest) if newest is not None and newest > self._version else None

    async def _conversion(self, live: Object | None, shipped: Object) -> Object:
        """Give the conversion stanza: a webhook only while somebody answers it, for an unanswered one locks the API.

        Source: openservicemesh/osm issue 4967.
        """
        for stanza in webhooks(live, shipped):
            if await self._is_served(stanza):
                return stanza
        return NO_CONVERSION

    async def _is_served(self, conversion: Object) -> bool:
        service = conversion["webhook"]["clientConfig"].get("service")
        if service is None:
            return True
        if (service["namespace"], service["name"]) == (
            self._work.namespace, self._work.distribution.bootstrap.deployment
        ):  # fmt: skip
            # Our own bootstrap is held off meanwhile, and the new one serves none: releases that have one take it up.
            return False
        slices = self._work.tools.kube.list_objects(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            service["namespace"],
            labels=f"kubernetes.io/service-name={service['name']}",
        )
        async for endpoint_slice in slices:
            for endpoint in endpoint_slice.get("endpoints") or []:
                if endpoint.get("conditions", {}).get("ready", True):
                    return True
        return False


def names_of(crd: Object) -> frozenset[str]:
    """Give the names of the versions of a CRD."""
    return frozenset(version["name"] for version in crd["spec"]["versions"])
