"""What etcd really holds: the API server shows objects in the version that it is asked for, however they are stored."""

import base64
import json
import urllib.request
from collections import Counter
from typing import Any

from tests.cluster.cluster import Cluster


def stored_versions(cluster: Cluster, crd: str) -> Counter[str]:
    """How many objects of a CRD, named as <plural>.<group>, are stored in which version."""
    return Counter(stored_objects(cluster, crd).values())


def stored_objects(cluster: Cluster, crd: str) -> dict[str, str]:
    """In which version each object of a CRD is stored, by its name."""
    plural, _, group = crd.partition(".")
    prefix = f"/registry/{group}/{plural}/"
    answer = _etcd(cluster, "range", {"key": _b64(prefix), "range_end": _b64(prefix[:-1] + "0")})
    values = [json.loads(base64.b64decode(item["value"])) for item in answer.get("kvs", [])]
    return {value["metadata"]["name"]: value["apiVersion"].partition("/")[2] for value in values}


def compact(cluster: Cluster) -> None:
    """Have etcd forget all former states, as it does after some minutes: lists begun before cannot be gone on with."""
    now = _etcd(cluster, "range", {"key": _b64("/registry/")})["header"]["revision"]
    _etcd(cluster, "compaction", {"revision": now, "physical": True})


def _etcd(cluster: Cluster, call: str, body: dict[str, Any]) -> dict[str, Any]:
    url = f"{cluster.etcd}/v3/kv/{call}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
