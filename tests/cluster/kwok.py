"""The configuration of kwok: which Pods and Nodes it plays, and how.

The stages are kwok's own, with more by annotation of the Pod. One that carries the gate annotation is left alone, so
that a stand-in for the program in the Pod decides when it is ready; it is still deleted by kwok. One of a Job can run
on. And containers get image ids, as a kubelet writes them: an image with a digest that digest, another one what an
annotation says.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["GATE_ANNOTATION", "IMAGE_IDS_ANNOTATION", "NODE_ANNOTATION", "RUNS_ON_ANNOTATION", "write_config"]

#: Present on a Pod while somebody other than kwok decides about its readiness; the value names who.
GATE_ANNOTATION = "rig.meshupgrade.io/gated-by"
#: On a Pod of a Job that does not finish.
RUNS_ON_ANNOTATION = "rig.meshupgrade.io/runs-on"
#: On a Pod: JSON with the image ids of containers, init containers among them, by their names.
IMAGE_IDS_ANNOTATION = "rig.meshupgrade.io/image-ids"
NODE_ANNOTATION = "kwok.x-k8s.io/node"


COMPLETING = "pod-complete"
IMAGE_LINE = "- image: {{ .image | Quote }}\n"
IMAGE_IDS = f"""\
{{{{ $ids := index (.metadata.annotations | default dict) "{IMAGE_IDS_ANNOTATION}" | default "{{}}" | fromJson }}}}
"""
#: A digest stands without the tag that may be beside it.
IMAGE_ID_LINE = """\
  imageID: {{ get $ids .name | default (regexReplaceAll "(:[^:/@]+)?@" (regexFind "^.+@.+$" .image) "@") | Quote }}
"""


def write_config(stages: Path, path: Path) -> Path:
    """Write the stages below the folder `stages` into one file for ``kwok --config``; gives `path` back."""
    documents = [_with_image_ids(_gated(stage)) for stage in _read_stages(stages)]
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
        completing = stage["metadata"]["name"] == COMPLETING
        for annotation in (GATE_ANNOTATION, *([RUNS_ON_ANNOTATION] if completing else ())):
            spec["selector"]["matchExpressions"].append(
                {"key": f'.metadata.annotations["{annotation}"]', "operator": "DoesNotExist"}
            )
    return stage


def _with_image_ids(stage: dict[str, Any]) -> dict[str, Any]:
    following = stage["spec"]["next"]
    template = following.get("statusTemplate", "")
    if stage["spec"]["resourceRef"]["kind"] == "Pod" and IMAGE_LINE in template:
        following["statusTemplate"] = IMAGE_IDS + template.replace(IMAGE_LINE, IMAGE_LINE + IMAGE_ID_LINE)
    return stage
