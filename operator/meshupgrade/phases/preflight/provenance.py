"""ChartNotVerified: the chart is not signed by a key of the keyring, or is not what was signed.

Helm verifies: the signature of the provenance file, and the digest of the archive in it. Source: Helm's documentation,
"Helm Provenance and Integrity".
"""

import base64
import binascii
import re
import tempfile
from pathlib import Path

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import VerifySpec
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.chart_cache import ChartArchive
from meshupgrade.helm.errors import HelmError, HelmTimedOut
from meshupgrade.phases.references import ReferenceInvalid, read_secret
from meshupgrade.phases.shape import Work

__all__ = ["NotVerified", "binary_keyring", "verify_chart"]

FIELD = "spec.chart.verify.keyringSecretRef"

_ARMOR = re.compile(rb"-----BEGIN PGP ([A-Z ]+)-----\s*?\n(.*?)-----END PGP \1-----", re.DOTALL)


class NotVerified(Exception):
    """The chart must not be used; holds the finding."""

    def __init__(self, message: str, remedy: str) -> None:
        self.finding = Finding(
            name=FindingName.CHART_NOT_VERIFIED,
            severity=Severity.ERROR,
            phase=Phase.PREFLIGHT,
            message=message,
            remedy=remedy,
        )
        super().__init__(message)


async def verify_chart(work: Work, archive: ChartArchive, verify: VerifySpec) -> None:
    """Verify the archive. Raises NotVerified, ReferenceInvalid, HelmTimedOut and the errors of kube."""
    name = verify.keyring_secret_ref.name
    data = await read_secret(work, name, field=FIELD)
    try:
        keyring = b"".join(binary_keyring(content) for _, content in sorted(data.items()))
    except ValueError as error:
        raise ReferenceInvalid(FIELD, f"Secret {name}: {error}", "Export the public keys anew.") from error
    if not keyring:
        raise ReferenceInvalid(FIELD, f"Secret {name} has no key", "Put public keys into it, as gpg --export does.")
    if archive.provenance is None:
        raise NotVerified(
            f"chart {archive.name} has no provenance file in {work.repository}",
            "Have it signed (helm package --sign) and published with its .prov file, or take spec.chart.verify out.",
        )
    with tempfile.TemporaryDirectory(dir=work.tools.cache) as folder:
        # What was signed is a file of the chart's own name.
        chart = Path(folder) / archive.name
        chart.symlink_to(archive.path.resolve())
        chart.with_name(f"{archive.name}.prov").write_bytes(archive.provenance)
        try:
            await work.tools.helm.verify(chart, keyring)
        except HelmTimedOut:
            raise
        except HelmError as error:
            raise NotVerified(
                f"chart {archive.name} from {work.repository} is not proven to be what its publisher signed: {error}",
                f"Put the publisher's public key into Secret {name}; when it is there already, do not use the chart "
                "before somebody has found out why.",
            ) from error


def binary_keyring(content: bytes) -> bytes:
    """Give public keys in binary form, which can be put one after another; armored ones are unpacked.

    Source: RFC 9580, section 6, "Converting Binary Data to Text". Raises ValueError for a GnuPG keybox, and for what
    is no armor though it begins so.
    """
    if content[8:12] == b"KBXf":
        raise ValueError("a key of it holds a GnuPG keybox; export the public keys (gpg --export)")
    if b"-----BEGIN PGP " not in content:
        return content
    keys = b""
    for kind, block in _ARMOR.findall(content):
        if kind != b"PUBLIC KEY BLOCK":
            raise ValueError(f"a key of it holds a PGP {kind.decode().lower()}, and no public key")
        # Headers end at an empty line; the checksum is optional, and Helm looks at what it gets.
        body = re.split(rb"\r?\n[ \t]*\r?\n", b"\n" + block, maxsplit=1)[-1]
        lines = [line.strip() for line in body.splitlines() if not line.startswith(b"=")]
        try:
            keys += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as error:
            raise ValueError("a key of it holds armored text that is damaged") from error
    if not keys:
        raise ValueError("a key of it holds armored text that is damaged")
    return keys
