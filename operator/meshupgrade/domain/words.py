"""How numbers of things are told."""

__all__ = ["amount"]


def amount(number: int, what: str) -> str:
    """Give a number with its noun, whose plural has an s: ``1 CRD``, ``2 CRDs``."""
    return f"{number} {what}{'s' * (number != 1)}"
