"""CertificateExpiring: the certificate of the mesh's authority, which no upgrade renews."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.domain.certificates import Certificate
from meshupgrade.phases.authority import authority_secret, read_authority
from meshupgrade.phases.preflight.check import Check, finding
from meshupgrade.phases.shape import Work

__all__ = ["CHECK", "expiry_findings"]

SOON = timedelta(days=30)


async def check(work: Work) -> list[Finding]:
    """Look at the certificate in the Secret of the mesh's authority, and keep what it is for after the upgrade."""
    place = str(authority_secret(work))
    try:
        certificates = await read_authority(work)
    except ValueError as error:
        return [
            finding(
                FindingName.CHECK_FAILED,
                Severity.WARNING,
                f"the certificate in {place} cannot be read: {error}",
                "Make sure that the Secret is the one that the mesh uses.",
            )
        ]
    if not work.half_way:
        work.authorities = [certificate.fingerprint for certificate in certificates]
    return expiry_findings(place, certificates, datetime.now(UTC))


def expiry_findings(place: str, certificates: Sequence[Certificate], now: datetime) -> list[Finding]:
    """Give the finding for the certificate that ends first, when that is soon."""
    ends = min((certificate.not_after for certificate in certificates), default=None)
    if ends is None or ends - now > SOON:
        return []
    how = f"expired on {ends:%Y-%m-%d}" if ends <= now else f"expires on {ends:%Y-%m-%d}, in {(ends - now).days} days"
    return [
        finding(
            FindingName.CERTIFICATE_EXPIRING,
            Severity.WARNING,
            f"the certificate of the mesh's authority in {place} {how}; then no workload gets a certificate that "
            "others trust",
            "Rotate the mesh's root certificate as its documentation says, and restart the meshed workloads; an "
            "upgrade does not renew it.",
        )
    ]


CHECK = Check(
    (FindingName.CERTIFICATE_EXPIRING,),
    "the certificate of the mesh's authority",
    check,
    Severity.WARNING,
    needs_target=False,
)
