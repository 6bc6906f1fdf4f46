"""TLS with a private authority, and with a client certificate that only the registry is shown.

The private authority is trusted besides those of the system, as container runtimes do it, since storage that a
registry redirects to may have a public certificate.
"""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from yarl import URL

from meshupgrade.oci.transport import same_origin

__all__ = ["CertificateInvalid", "ClientTLS", "client_tls"]


class CertificateInvalid(Exception):
    """A certificate or key that cannot be used; the message says which, and never what is in it."""


@dataclass(frozen=True)
class ClientTLS:
    """How TLS is spoken: to whom the client certificate is for, and to everybody else."""

    identified: ssl.SSLContext
    anonymous: ssl.SSLContext

    def towards(self, origin: URL) -> Callable[[URL], ssl.SSLContext]:
        """Give what chooses the context for a URL: the client certificate is shown to this origin only."""
        return lambda url: self.identified if same_origin(url, origin) else self.anonymous


def client_tls(ca: bytes | None, certificate: bytes | None, key: bytes | None) -> ClientTLS:
    """Give the contexts for an authority and a client certificate with its key, all in PEM, each of them optional.

    Raises CertificateInvalid.
    """
    if (certificate is None) != (key is None):
        raise CertificateInvalid("tls.crt and tls.key belong together; give both or none")
    anonymous = _context(ca)
    if certificate is None or key is None:
        return ClientTLS(anonymous, anonymous)
    identified = _context(ca)
    _load_identity(identified, certificate, key)
    return ClientTLS(identified, anonymous)


def _context(ca: bytes | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # A private authority may be an intermediate one, or be made carelessly; what pulls the mesh's images takes both.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca is not None:
        try:
            context.load_verify_locations(cadata=ca.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise CertificateInvalid("ca.crt holds no certificates in PEM that can be read") from error
    return context


def _load_identity(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL takes them out of a file only. This one has no name, and is gone with the process.
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(certificate.rstrip() + b"\n" + key)
        # Without an answer at hand OpenSSL would ask at the terminal for the password of an encrypted key.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None)
        told = "do not belong together" if why == "KEY_VALUES_MISMATCH" else "are not PEM that can be used"
        raise CertificateInvalid(f"tls.crt and tls.key {told}; the key must not be encrypted") from error
    finally:
        os.close(descriptor)
