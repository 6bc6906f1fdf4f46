"""Which Helm CLI will do."""

from meshupgrade.helm.driver import Helm
from meshupgrade.helm.errors import HelmError

__all__ = ["check_helm"]

OLDEST_HELM = (4, 0)


async def check_helm(helm: Helm) -> None:
    """Raise HelmError when the Helm CLI is too old."""
    text = await helm.version()
    found = tuple(int(part) for part in text.removeprefix("v").split(".")[:2])
    if found < OLDEST_HELM:
        raise HelmError(f"the Helm CLI is {text}; version 4 is needed, since it applies server-side")
