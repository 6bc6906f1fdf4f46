"""The finding CRDSourceUnavailable, with what to set for each thing that keeps CRDs from being read."""

from collections.abc import Sequence

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.release import Release
from meshupgrade.oci import (
    ImageInvalid,
    OCIError,
    RegistryDenied,
    RegistryPlain,
    RegistryUnreachable,
    RegistryUntrusted,
    ScratchUnavailable,
)
from meshupgrade.phases.shape import Work

__all__ = ["chart_has_none", "chart_unreadable", "image_unavailable", "no_bootstrap"]

ANOTHER_SOURCE = "or give the CRDs in a ConfigMap (spec.crds.source ConfigMap, spec.crds.configMapRef)"


def image_unavailable(work: Work, image: str, error: OCIError, passed_over: Sequence[str]) -> Finding:
    """Give the finding for an image; ``passed_over`` says what became of logins that should have helped."""
    notes = f" ({'; '.join(passed_over)})" if passed_over and isinstance(error, RegistryDenied) else ""
    return _finding(
        f"the CRDs of this version cannot be read out of the image {image}: {error}{notes}", _remedy(work, error)
    )


def no_bootstrap(work: Work, rendered: Release) -> Finding:
    """Give the finding for a chart that names no image with CRDs."""
    facts = work.distribution.bootstrap
    return _finding(
        f"chart {rendered.chart_name} {rendered.chart_version} renders no Deployment {facts.deployment} with a "
        f"container {' or '.join(facts.containers)}, whose image carries the CRDs",
        "Check that the chart is one of the distribution, or set spec.crds.imageRef.",
    )


def chart_has_none(rendered: Release) -> Finding:
    """Give the finding for a chart without a crds/ folder."""
    return _finding(
        f"chart {rendered.chart_name} {rendered.chart_version} has no CRDs in a crds/ folder",
        f"Set spec.crds.source to Auto or Image, {ANOTHER_SOURCE}.",
    )


def chart_unreadable(rendered: Release, error: ImageInvalid) -> Finding:
    """Give the finding for a crds/ folder that cannot be read."""
    return _finding(
        f"the crds/ folders of chart {rendered.chart_name} {rendered.chart_version} cannot be read: {error}",
        f"Set spec.crds.source to Image with spec.crds.imageRef, {ANOTHER_SOURCE}.",
    )


def _remedy(work: Work, error: OCIError) -> str:
    match error:
        case RegistryPlain():
            return "Set spec.crds.insecure to true, which allows plain http, or use a registry with TLS."
        case RegistryUntrusted():
            return (
                "Name a Secret with the registry's ca.crt, and with tls.crt and tls.key when it wants a client "
                "certificate, in spec.crds.certSecretRef."
            )
        case RegistryDenied():
            return (
                "Name a Secret with a login for the registry, .dockerconfigjson or username and password, in "
                "spec.crds.secretRef."
            )
        case RegistryUnreachable():
            return (
                "Make the registry reachable from the operator (DNS, HTTPS_PROXY, NetworkPolicies); or set "
                f"spec.crds.imageRef to a copy in one that is, {ANOTHER_SOURCE}. It is tried again by itself."
            )
        case ScratchUnavailable():
            return "Give the operator's volume for temporary files more room. It is tried again by itself."
    plainly = " If the registry speaks https, take spec.crds.insecure out." if work.spec.crds.insecure else ""
    return (
        "Set the image registry and tag in spec.values to an image that exists, or spec.crds.imageRef to one that "
        f"carries the CRDs, {ANOTHER_SOURCE}.{plainly}"
    )


def _finding(message: str, remedy: str) -> Finding:
    return Finding(
        name=FindingName.CRD_SOURCE_UNAVAILABLE,
        severity=Severity.ERROR,
        phase=Phase.CRDS,
        message=message,
        remedy=remedy,
    )
