"""Certificates in PEM: until when they are valid, and by what they are known."""

import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Certificate", "read_certificates"]

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """One certificate of an authority."""

    fingerprint: str
    """SHA-256 of its DER form, in hex."""

    not_after: datetime
    """The end of its validity, in UTC."""


def read_certificates(pem: str) -> list[Certificate]:
    """Give the certificates of authorities in the text, in its order. Raises ValueError when there is none."""
    found = [certificate for block in _BLOCK.findall(pem) if (certificate := _read(block)) is not None]
    if not found:
        raise ValueError("there is no certificate of an authority in PEM")
    return found


def _read(block: str) -> Certificate | None:
    """Read one by the TLS library, which alone in the standard library decodes certificates; None for no authority's.

    Raises ValueError when it is none.
    """
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        store.load_verify_locations(cadata=block)
    except ssl.SSLError as error:
        raise ValueError("it holds what is no certificate") from error
    for decoded, der in zip(store.get_ca_certs(), store.get_ca_certs(binary_form=True), strict=True):
        end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(decoded["notAfter"])), UTC)
        return Certificate(hashlib.sha256(der).hexdigest(), end)
    return None
