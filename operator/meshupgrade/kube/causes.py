"""What a diagnosis says: why a workload does not become ready, and what to do, which depends on whose it is."""

from collections.abc import Collection
from dataclasses import dataclass

from meshupgrade.api.v1alpha1.conditions import Reason

__all__ = ["OF_RELEASE", "Advice", "Cause", "of_data_plane"]


@dataclass(frozen=True)
class Cause:
    """Why Pods are not ready, and what to do."""

    reason: Reason
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}"


@dataclass(frozen=True)
class Advice:
    """What to do about a workload of one kind."""

    image: str
    """About an image that cannot be pulled."""

    resources: str
    """About a Pod that no node has room for."""

    sidecars: frozenset[str] = frozenset()
    """The containers, and init containers, that the mesh puts into its Pods."""

    sidecar_image: str = ""
    """About an image of these."""

    def about_image(self, container: str) -> str:
        """Give what to do about the image of a container."""
        return self.sidecar_image if container in self.sidecars else self.image


OF_RELEASE = Advice(
    image="Set the registry and the tag in spec.values to an image that exists, or fix imagePullSecrets",
    resources="Add nodes or free resources, or lower the requests in spec.values",
)
"""For what the chart of the mesh makes."""


def of_data_plane(sidecars: Collection[str]) -> Advice:
    """Give the advice for a workload of somebody else's, into whose Pods the mesh puts these containers."""
    return Advice(
        image="Correct the image of the workload, or its imagePullSecrets",
        resources="Add nodes or free resources, or lower the requests of the workload",
        sidecars=frozenset(sidecars),
        sidecar_image="Set spec.dataPlane.sidecarImage to an image that exists and that the nodes may pull",
    )
