"""What the API server's refusal of an object means, and how it is told without values that may be secret."""

import json
import re
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import (
    ApiStatusError,
    Forbidden,
    KindNotServed,
    KubeError,
    NotFound,
    Rejected,
    WebhookUnreachable,
)
from meshupgrade.phases.preflight.check import finding

__all__ = ["brief", "is_immutable", "refusal"]

_IMMUTABLE = re.compile(r"immutable|may not change|cannot be changed|cannot change|updates to .* are forbidden")
_VALUE = re.compile(r"(Invalid|Unsupported|Duplicate) value: (?=\S)")
_SECRETIVE_KINDS = ("Secret", "ConfigMap")
_SECRETIVE_FIELD = re.compile(r"\b(env|args|command|data|stringData|annotations)\b")
_KEPT = ("PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition")
"""Kinds that are never deleted to be created again: what they hold would go with them."""

MAX_TEXT = 600
MAX_CAUSES = 5
MAX_SHOWN = 64


def is_immutable(ref: ObjectRef, error: KubeError) -> bool:
    """Tell whether nothing but immutable fields keeps the object from being taken, and it may be made anew."""
    if not isinstance(error, Rejected) or ref.kind in _KEPT:
        return False
    messages = [str(cause.get("message") or "") for cause in error.causes] or [error.message]
    return all(_IMMUTABLE.search(_without_value(message, secretive=True)) for message in messages)


def refusal(ref: ObjectRef, error: KubeError) -> Finding:
    """Give the finding for an object that the API server would not take."""
    name, severity, remedy = _verdict(ref, error)
    return finding(name, severity, f"{ref}: {brief(ref, error)}", remedy)


def _verdict(ref: ObjectRef, error: KubeError) -> tuple[FindingName, Severity, str]:
    if is_immutable(ref, error):
        return (
            FindingName.IMMUTABLE_FIELD_CHANGED,
            Severity.RISK,
            f"Add ImmutableFieldChanged to spec.upgrade.acceptRisks to have {ref} deleted and created again, "
            "or choose a version without the change.",
        )
    match error:
        case KindNotServed():
            return (
                FindingName.REMOVED_APIS,
                Severity.ERROR,
                "Switch off, in spec.values, the part of the chart that makes it, or choose a newer chart version.",
            )
        case Forbidden() if re.search(r"cannot \w+ resource|attempting to grant", error.message):
            return FindingName.FORBIDDEN, Severity.ERROR, "Give the operator's account the right that is named."
        case NotFound() if "namespaces" in (error.kind, error.message.partition(" ")[0]):
            return FindingName.NAMESPACE_MISSING, Severity.ERROR, "Create the namespace, or correct spec.values."
        case Rejected() if "does not support dry run" in error.message:
            return (
                FindingName.DRY_RUN_UNSUPPORTED,
                Severity.WARNING,
                "An admission webhook cannot say beforehand whether it takes the object; set its sideEffects to None.",
            )
        case WebhookUnreachable():
            return FindingName.OBJECT_REJECTED, Severity.ERROR, "Repair the admission webhook that does not answer."
    return FindingName.OBJECT_REJECTED, Severity.ERROR, "Correct spec.values so that the API server takes the object."


def brief(ref: ObjectRef, error: KubeError) -> str:
    """Give what the API server says, field by field where it does, without objects and values that may be secret."""
    secretive = ref.kind in _SECRETIVE_KINDS
    causes = [cause for cause in error.causes if cause.get("field")] if isinstance(error, ApiStatusError) else []
    if causes:
        told = [_cause(cause, secretive) for cause in causes[:MAX_CAUSES]]
        more = f"; and {len(causes) - MAX_CAUSES} more" if len(causes) > MAX_CAUSES else ""
        return _cut("; ".join(told) + more)
    text = re.sub(r"^failed to (create typed patch|convert new) object \(.*?\)( to proper version)?: ", "", str(error))
    text = re.sub(r"got &value\.valueUnstructured\{.*?\}", "got another type", text)
    return _cut(_without_value(text, secretive))


def _cause(cause: Mapping[str, Any], secretive: bool) -> str:
    where = str(cause["field"])
    secretive = secretive or _SECRETIVE_FIELD.search(where) is not None
    # What follows the first line is a difference of whole objects.
    message = str(cause.get("message") or "").partition("\n")[0]
    return f"{where}: {_without_value(message, secretive)}"


def _without_value(message: str, secretive: bool) -> str:
    """Give a message without the value that it quotes, unless that is a plain short one that may be shown."""
    match = _VALUE.search(message)
    if match is None:
        return message
    head, tail = message[: match.start()], message[match.end() :]
    try:
        value, end = json.JSONDecoder().raw_decode(tail)
        shown, detail = tail[:end], tail[end:].removeprefix(": ")
    except ValueError:
        # A value in Go's own notation, whose end only the next part of the message tells.
        value, shown, detail = None, "", tail.rpartition(": ")[2]
    plain = not secretive and isinstance(value, str | int | float) and len(shown) <= MAX_SHOWN
    if plain:
        return message
    return head + (detail or f"{match[1].lower()} value")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " …"
