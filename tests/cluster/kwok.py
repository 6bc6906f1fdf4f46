"""The configuration of kwok: which Pods and Nodes it plays, and how.

The stages are kwok's own, with one more condition: a Pod that carries the gate annotation is left alone, so that a
stand-in for the program in the Pod decides when it is ready. The Pod is still deleted by kwok.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["GATE_ANNOTATION", "NODE_ANNOTATION", "write_config"]

#: Present on a Pod while somebody other than kwok decides about its readiness; the value names who.
GATE_ANNOTATION = "rig.meshupgrade.io/gated-by"
NODE_ANNOTATION = "kwok.x-k8s.io/node"


def write_config(stages: Path, path: Path) -> Path:
    """Write the stages below the folder `stages` into one file for ``kwok --config``; gives `path` back."""
    documents = [_gated(stage) for stage in _read_stages(stages)]
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return path


def _read_stages(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document and document.get("kind") == "Stage":
                yield document


def _gated(stage: dict[str, Any]) -> dict[str, Any]:
    spec = stage["spec"]
    if spec["resourceRef"]["kind"] == "Pod" and not spec["next"].get("delete"):
        spec["selector"]["matchExpressions"].append(
            {"key": f'.metadata.annotations["{GATE_ANNOTATION}"]', "operator": "DoesNotExist"}
        )
    return stage
