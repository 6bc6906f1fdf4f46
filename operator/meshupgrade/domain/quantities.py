"""Kubernetes resource quantities.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity
"""

import re
from decimal import Decimal

__all__ = ["parse_quantity"]

_FORM = re.compile(r"([+-]?[0-9.]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_SCALE = {
    **{f"{prefix}i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", 1)},
    **{prefix: Decimal(1000) ** power for power, prefix in enumerate("kMGTPE", 1)},
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    "": Decimal(1),
}


def parse_quantity(text: str | float) -> Decimal:
    """Give the number that a quantity such as 500m, 1Gi, 1.5 or 1e3 stands for. Raises ValueError for another text."""
    match = _FORM.fullmatch(str(text).strip())
    if match is None or match[1].count(".") > 1 or not re.search("[0-9]", match[1]):
        raise ValueError(f"{text!r} is no quantity")
    number, suffix = Decimal(match[1]), match[2] or ""
    return number * (_SCALE[suffix] if suffix in _SCALE else Decimal(f"1{suffix}"))
