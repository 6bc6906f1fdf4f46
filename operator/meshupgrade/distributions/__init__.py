"""The supported meshes as data: one file of facts a distribution, read here and nowhere else."""

from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from meshupgrade.api.v1alpha1.spec import DistributionName

__all__ = ["Addon", "Distribution", "load_distribution"]


class _Facts(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class ChartFacts(_Facts):
    """Where the distribution's chart is, and the key under which all its values stand."""

    repository: str
    names: tuple[str, ...]
    root: str


class BootstrapFacts(_Facts):
    """The Deployment that applies the CRDs, its containers whose image may carry them (the first found counts)."""

    deployment: str
    containers: tuple[str, ...]
    crd_folder: str
    crd_domains: tuple[str, ...]
    """The ends of the API groups of the CRDs that any release of it brings."""

    merges_since: str | None = None
    """The first version whose start merges its CRDs into the live ones; those before replace them."""

    reconcile_flag: str
    """The argument that switches on the reconciler, which puts CRDs back when others change them."""

    reconcile_label: str
    """The label by which the reconciler knows the CRDs that it keeps."""


class InjectorFacts(_Facts):
    """The Deployment that injects sidecars, and where it is told the images to use when the MeshConfig names none."""

    deployment: str
    container: str
    sidecar_image_env: str
    init_image_env: str


class DriverFacts(_Facts):
    """Sidecars of several kinds in a list; the one of the class in use counts where the MeshConfig names no image."""

    path: tuple[str, ...]
    name: str
    image: str
    init_image: str
    class_path: tuple[str, ...]
    """The class is compared with the names without regard to case."""


class MeshConfigFacts(_Facts):
    """The live configuration object."""

    name: str
    group: str
    sidecar_image_path: tuple[str, ...]
    init_image_path: tuple[str, ...] | None = None
    """Where it can name the image of the init container; None where only the injector's default counts."""

    drivers: DriverFacts | None = None
    guard_paths: tuple[tuple[str, ...], ...]
    """The switches that let traffic pass which false holds back, or keeps under policy or mTLS."""


class SidecarFacts(_Facts):
    """How an injected Pod is told."""

    container: str
    init_container: str
    pod_label: str
    namespace_label: str
    injection_annotation: str
    """On a namespace or a Pod, whose own goes before: whether it gets a sidecar."""


class Addon(_Facts):
    """A third-party part that the chart can install; its Deployment changed its name over time."""

    name: str
    deployments: tuple[str, ...]
    container: str
    image_value: tuple[str, ...]
    """Where the chart's values name its image: a text, or an object of registry, name and tag."""

    switch: tuple[str, ...]
    """The value that installs it."""


class Distribution(_Facts):
    """The facts of one distribution, read in its own releases."""

    name: DistributionName
    chart: ChartFacts
    mesh_name: str
    cli: str
    identity: tuple[tuple[str, ...], ...]
    control_plane: tuple[str, ...]
    ca_secret: str
    bootstrap: BootstrapFacts
    injector: InjectorFacts
    mesh_config: MeshConfigFacts
    sidecar: SidecarFacts
    addons: tuple[Addon, ...]


@cache
def load_distribution(name: DistributionName) -> Distribution:
    """Give the facts of a distribution."""
    text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return Distribution.model_validate(yaml.safe_load(text))
