"""The digest of what a run was asked; a budget of attempts is for one digest."""

import hashlib
import json
from typing import Any

__all__ = ["input_digest"]


def input_digest(spec: dict[str, Any], requested_at: str | None, values_digest: str = "") -> str:
    """Give the same text for the same spec, request and referenced values, whatever the order of keys."""
    inputs = [spec, requested_at, *([values_digest] if values_digest else [])]
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
