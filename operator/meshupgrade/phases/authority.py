"""The mesh's certificate authority: its certificate, never its key, and whether an upgrade left it as it was.

A new authority cuts mutual TLS between workloads that got their certificates from the old one and those that get
theirs from the new one (crossplane #7480), so it is compared before and after.
"""

import base64
import binascii
from collections.abc import Collection, Sequence

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.domain.certificates import Certificate, read_certificates
from meshupgrade.domain.merge import lookup
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["authority_secret", "check_authority", "lost_authorities", "read_authority"]

KEY = "ca.crt"
"""The key of the Secret with the certificate (constant KubernetesOpaqueSecretCAKey of all three meshes)."""


def authority_secret(work: Work) -> ObjectRef:
    """Give the reference to the Secret of the release that runs; the value caBundleSecretName may name another one."""
    values = work.live.values() if work.live is not None else {}
    name = lookup(values, (work.distribution.chart.root, "caBundleSecretName"))
    return ObjectRef("v1", "Secret", str(name or work.distribution.ca_secret), work.namespace)


async def read_authority(work: Work) -> list[Certificate]:
    """Give the certificates of the mesh's authority; none when there is no such Secret, as with an external issuer.

    Raises ValueError when the Secret has no readable certificate, and the errors of kube.
    """
    live = await work.tools.kube.find(authority_secret(work))
    encoded = (live or {}).get("data", {}).get(KEY)
    if not encoded:
        return []
    try:
        return read_certificates(base64.b64decode(encoded).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("what it holds is no text") from error


async def check_authority(work: Work) -> None:
    """See that the mesh still trusts what it trusted before the upgrade.

    Raises PhaseFailed when it does not. A rollback would not bring the old authority back, so nothing is undone; a
    fresh request takes the new one as it is.
    """
    if not work.authorities:
        return
    try:
        now = await read_authority(work)
    except ValueError:
        now = []
    if lost := lost_authorities(work.authorities, now):
        raise PhaseFailed(
            Reason.AUTHORITY_CHANGED,
            f"the certificate of the mesh's authority in {authority_secret(work)} is not the one of before the upgrade "
            f"(SHA-256 {', '.join(fingerprint[:16] for fingerprint in lost)}…), so workloads that got theirs before "
            "and those that get one now do not trust each other; put the old Secret back, or restart all meshed "
            "workloads",
        )


def lost_authorities(before: Collection[str], now: Sequence[Certificate]) -> list[str]:
    """Give the fingerprints that were trusted before and are not any more; one that was added takes nothing away."""
    present = {certificate.fingerprint for certificate in now}
    return sorted(fingerprint for fingerprint in before if fingerprint not in present)
