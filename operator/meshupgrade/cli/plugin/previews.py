"""`plan -f`: the plan of a manifest that is not applied yet, made here with the caller's own rights."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.names import KIND
from meshupgrade.cli.helm_cli import check_helm
from meshupgrade.cli.plugin.errors import UserError
from meshupgrade.cli.plugin.options import Where
from meshupgrade.cli.plugin.output import Format, clean
from meshupgrade.cli.plugin.plans import cleaned, end, show_plan
from meshupgrade.cli.plugin.session import Session, connect
from meshupgrade.engine.preview import InvalidManifest, Preview, preview
from meshupgrade.helm.driver import Helm
from meshupgrade.helm.errors import HelmError
from meshupgrade.helm.repository import IndexCache, RepositoryError
from meshupgrade.oci import OCIError
from meshupgrade.phases.shape import Busy, Tools

__all__ = ["show_plan_of_file"]


async def show_plan_of_file(where: Where, file: Path, form: Format | None, helm: str) -> None:
    """Show the plan of a manifest, made here. Raises ChangesDue, and UserError where something speaks against it."""
    manifest = _manifest(file)
    binary = shutil.which(helm)
    if binary is None:
        raise UserError(f"there is no program {helm!r}; install Helm 4, or give its path with --helm")
    async with connect(where) as session:
        _place(manifest, where, session)
        seen = await _previewed(session, manifest, binary)
    accepted = frozenset((manifest["spec"].get("upgrade") or {}).get("acceptRisks") or ())
    plan = cleaned(seen.plan) if seen.plan is not None else None
    # What the values of the spec have of Secrets is masked in the plan already.
    dumped = [finding.model_dump(mode="json") for finding in seen.findings]
    findings = [Finding.model_validate(clean(session.secrets.scrub_tree(finding))) for finding in dumped]
    show_plan(plan, findings, accepted, form)
    blocked = any(finding.blocks(accepted) for finding in findings)
    if plan is None and not blocked:
        raise UserError("no plan could be made")
    name = f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
    end(due=plan is not None and plan.changes(), refused=name if blocked else "")


async def _previewed(session: Session, manifest: dict[str, Any], helm: str) -> Preview:
    with tempfile.TemporaryDirectory(prefix="meshupgrade-") as folder:
        async with aiohttp.ClientSession(trust_env=True) as http:
            driver = Helm(helm, session.access, Path(folder), session.secrets)
            tools = Tools(session.kube, driver, http, IndexCache(), Path(folder), session.secrets)
            try:
                await check_helm(driver)
                return await preview(tools, manifest)
            except InvalidManifest as error:
                raise UserError(f"the manifest is wrong: {error}") from error
            except (Busy, HelmError, OCIError, RepositoryError) as error:
                raise UserError(session.secrets.scrub(str(error))) from error


def _manifest(file: Path) -> dict[str, Any]:
    """Give the one MeshUpgrade in a file; ``-`` is the standard input. Raises UserError."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        documents = [document for document in yaml.safe_load_all(text) if isinstance(document, dict)]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    found = [document for document in documents if document.get("kind") == KIND]
    if len(found) != 1:
        raise UserError(f"{file} holds {len(found)} MeshUpgrades; one is needed")
    if not isinstance(found[0].get("metadata") or {}, dict):
        raise UserError(f"{file}: metadata is no mapping")
    return found[0]


def _place(manifest: dict[str, Any], where: Where, session: Session) -> None:
    """Set the namespace of a manifest as kubectl does."""
    metadata = manifest.get("metadata") or {}
    named = metadata.get("namespace")
    if where.namespace and named and named != where.namespace:
        raise UserError(f"the manifest is of namespace {named}, and --namespace is {where.namespace}")
    manifest["metadata"] = {**metadata, "namespace": named or session.default_namespace}
