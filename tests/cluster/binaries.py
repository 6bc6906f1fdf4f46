"""The programs of the rig: found where the user has them, else built from the pinned Go modules."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import GoUnavailable
from .go_build import GoModule, build, locked, module_dir, parse_version

__all__ = ["CLIENTS", "Binaries", "ensure_binaries"]

KUBERNETES = GoModule("kubernetes")
HELM = GoModule("helm")
REGISTRY = GoModule("registry")

KWOK_MODULE = "sigs.k8s.io/kwok"
KWOK_STAGE_FOLDERS = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
#: For a machine without Go: the folder kustomize/stage of kwok's sources.
STAGES_VARIABLE = "MESHUPGRADE_KWOK_STAGES"

ALL = tuple(name for module in (HELM, REGISTRY, KUBERNETES) for name in module.tools())
#: Enough next to a cluster that somebody else runs.
CLIENTS = ("kubectl", "helm", "registry")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Binaries:
    """Paths of the programs, and the folder of kwok's stage files as in its sources (node/fast, pod/fast, …)."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path
    helm: Path
    kwok: Path
    registry: Path
    kwok_stages: Path


def ensure_binaries(progress: Progress = print, programs: Sequence[str] = ALL) -> Binaries:
    """The programs of the rig, built if need be; `progress` gets a line at least every ten seconds of a build.

    KUBEBUILDER_ASSETS is honoured for etcd and kube-apiserver (and for the others, where it has them), PATH for
    kubectl and a helm that is new enough; on a machine without Go, PATH for everything. Of programs that were not
    asked for the path may not exist. Raises GoUnavailable, whose message says what to do, and BuildFailed.
    """
    found = _given(programs)
    stages = _stages_folder()
    try:
        for module in (HELM, REGISTRY, KUBERNETES):
            missing = [name for name in module.tools() if name in programs and name not in found]
            if missing:
                found |= build(module, missing, progress)
        if "kwok" in programs:
            _ensure_stages(stages, progress)
    except GoUnavailable as error:
        found = _given(programs, everything=True)
        missing = [name for name in programs if name not in found]
        if "kwok" in programs and not stages.exists():
            missing.append(f"the stages of kwok ({STAGES_VARIABLE})")
        if missing:
            raise GoUnavailable(f"{error}.\nMissing: {', '.join(missing)}.\n{_ways_out()}") from None
    cached = {name: module.cache() / name for module in (HELM, REGISTRY, KUBERNETES) for name in module.tools()}
    paths = {name.replace("-", "_"): path for name, path in (cached | found).items()}
    return Binaries(**paths, kwok_stages=stages)


def _ways_out() -> str:
    go = ".".join(map(str, max(KUBERNETES.go, HELM.go, REGISTRY.go)))
    helm = HELM.required("helm.sh/helm/v4")
    return (
        "Ways out:\n"
        f"  - install Go {go} or newer (https://go.dev/doc/install) and run this again; the build happens once\n"
        "  - bring the programs: KUBEBUILDER_ASSETS with etcd and kube-apiserver; kube-controller-manager,\n"
        f"    kube-scheduler, helm {helm} or newer, kwok, registry and kubectl there or on PATH;\n"
        f"    {STAGES_VARIABLE} with the folder kustomize/stage of kwok's sources\n"
        "  - use an existing cluster: CLUSTER=existing with KUBECONFIG (helm and registry are still needed on PATH)"
    )


def _given(programs: Sequence[str], everything: bool = False) -> dict[str, Path]:
    """Those of the programs that the user has, by name; from PATH only kubectl and helm, unless `everything`.

    An unknown `registry` or `etcd` that happens to be on PATH must not win over the pinned one.
    """
    found: dict[str, Path] = {}
    for name in programs if everything else ("kubectl", "helm"):
        path = shutil.which(name)
        if path and (name != "helm" or _helm_is_new_enough(path)):
            found[name] = Path(path)
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        found |= {name: Path(assets, name) for name in programs if Path(assets, name).exists()}
    return found


def _helm_is_new_enough(path: str) -> bool:
    answer = subprocess.run(
        [path, "version", "--template", "{{.Version}}"], capture_output=True, text=True, check=False
    )
    try:
        return parse_version(answer.stdout)[:2] >= parse_version(HELM.required("helm.sh/helm/v4"))[:2]
    except ValueError:
        return False


def _stages_folder() -> Path:
    given = os.environ.get(STAGES_VARIABLE)
    return Path(given) if given else HELM.cache() / "stages"


def _ensure_stages(target: Path, progress: Progress) -> None:
    """Copy kwok's stage files out of its sources, unless they are there."""
    if target.exists():
        return
    with locked(target.with_suffix(".lock"), progress):
        if not target.exists():
            source = module_dir(HELM, KWOK_MODULE) / "kustomize" / "stage"
            with tempfile.TemporaryDirectory(prefix=".copying-", dir=target.parent) as scratch:
                copied = Path(scratch, "stages")
                for folder in KWOK_STAGE_FOLDERS:
                    (copied / folder).mkdir(parents=True)
                    for file in (source / folder).glob("*.yaml"):
                        shutil.copyfile(file, copied / folder / file.name)
                copied.replace(target)
