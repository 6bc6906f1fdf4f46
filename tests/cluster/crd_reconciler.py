"""The part of a mesh's bootstrap program that puts CRDs back when somebody else changes them (--enable-reconciler)."""

import threading
from collections.abc import Callable
from typing import Any

from .api import Api, ApiError
from .crd_installer import CRDS, ReconcileLabel

__all__ = ["reconcile_crds"]

CONFLICT = 409

Crd = dict[str, Any]
Say = Callable[[bool, str], None]


def reconcile_crds(api: Api, label: ReconcileLabel, manager: str, stop: threading.Event, say: Say) -> None:
    """Keep every CRD that carries `label` as it was when first seen with it, until `stop` is set.

    As the real one, it knows CRDs by their label alone: whoever takes the label away is left in peace, a CRD that is
    deleted comes back, and what counts is the spec that the CRD had when this began, not the one in the image. `say`
    gets a line for everything done, and whether it worked.
    """
    kept: dict[str, Crd] = {}
    for kind, crd in api.watch(CRDS, stop, labelSelector=f"{label.key}={label.value}"):
        name = crd["metadata"]["name"]
        if kind == "DELETED":
            _create_again(api, kept.pop(name), manager, say)
        elif name not in kept:
            kept[name] = crd
        elif crd["spec"] != kept[name]["spec"]:
            _put_back(api, crd, kept[name], manager, say)


def _put_back(api: Api, changed: Crd, kept: Crd, manager: str, say: Say) -> None:
    name = changed["metadata"]["name"]
    changed["spec"] = kept["spec"]
    changed["metadata"]["labels"] = kept["metadata"]["labels"]
    try:
        api.update(f"{CRDS}/{name}", changed, fieldManager=manager)
    except ApiError as error:
        # Somebody was faster; the watch brings that change too.
        if error.status != CONFLICT:
            say(False, f"{name} not restored: {error}")
        return
    say(True, f"{name} restored")


def _create_again(api: Api, kept: Crd, manager: str, say: Say) -> None:
    metadata = {key: kept["metadata"][key] for key in ("name", "labels", "annotations") if key in kept["metadata"]}
    body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": kept["spec"]}
    try:
        api.create(CRDS, {**body, "metadata": metadata}, fieldManager=manager)
    except ApiError as error:
        # Not deleted at all, it has only lost its label.
        if error.status != CONFLICT:
            say(False, f"{metadata['name']} not created again: {error}")
        return
    say(True, f"{metadata['name']} created again")
