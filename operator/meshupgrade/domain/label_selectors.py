"""Label selectors, with matchLabels and matchExpressions: what they select, and how the API server takes them.

Source: the Kubernetes documentation, "Labels and Selectors", and k8s.io/apimachinery/pkg/labels/selector.go: NotIn
takes what lacks the label, too.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["label_query", "selects"]

_FORMS = {"In": "{key} in ({values})", "NotIn": "{key} notin ({values})", "Exists": "{key}", "DoesNotExist": "!{key}"}


def label_query(selector: Mapping[str, Any]) -> str:
    """Give a LabelSelector as the text of a request; empty for one that selects everything."""
    equal = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    other = [
        _FORMS[one["operator"]].format(key=one["key"], values=",".join(one.get("values") or []))
        for one in selector.get("matchExpressions") or []
    ]
    return ",".join([*equal, *other])


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether the selector, with matchLabels and matchExpressions, selects an object with these labels.

    An empty selector selects everything, and none at all nothing.
    """
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_holds(one, labels) for one in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    has, values = expression["key"] in labels, expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return has and labels[expression["key"]] in values
        case "NotIn":
            return not has or labels[expression["key"]] not in values
        case "Exists":
            return has
        case "DoesNotExist":
            return not has
    return False
