"""A cluster that exists already: CLUSTER=existing with KUBECONFIG."""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .binaries import Binaries
from .components import start_registry
from .errors import RigError
from .process import Child

__all__ = ["connect"]

Progress = Callable[[str], None]


def connect(binaries: Binaries, folder: Path, children: list[Child], progress: Progress) -> dict[str, Any]:
    """Describe the current context of the user's kubeconfig, and start a registry next to it.

    Says which cluster it is before anything is done to it. Gives the arguments of Cluster; raises RigError when there
    is no usable context.
    """
    # Flattened into one file of our own: the user's may be several files, and may change while the tests run.
    command: list[str | Path] = [binaries.kubectl, "config", "view", "--raw", "--minify", "--flatten", "--output=yaml"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    config = yaml.safe_load(answer.stdout) if answer.returncode == 0 else None
    if not config or not config.get("clusters"):
        raise RigError(f"CLUSTER=existing needs a KUBECONFIG with a current context: {answer.stderr.strip()}")
    cluster = config["clusters"][0]["cluster"]
    progress(f"using the existing cluster of context {config['current-context']} at {cluster['server']}")
    kubeconfig, ca = folder / "kubeconfig", folder / "ca.crt"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(answer.stdout)
    ca.write_bytes(base64.b64decode(cluster.get("certificate-authority-data", "")))
    registry, address = start_registry(binaries, folder)
    children.append(registry)
    return {
        "kubeconfig": kubeconfig,
        "server": cluster["server"],
        "ca": ca,
        "registry": address,
        "existing": True,
    }
