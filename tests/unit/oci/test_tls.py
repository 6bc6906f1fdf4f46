"""TLS contexts out of PEM, good and bad."""

import ssl
from pathlib import Path

import pytest
from yarl import URL

from meshupgrade.oci import CertificateInvalid, client_tls
from tests.unit.oci.certificates import Authority

CA = Authority()
ME, OTHER = CA.identity("me"), CA.identity("other")
SEALED = CA.identity("sealed", password=b"hunter2")


def test_the_client_certificate_is_for_one_origin() -> None:
    tls = client_tls(CA.certificate, ME.certificate, ME.key)
    choose = tls.towards(URL("https://r.example/v2/"))
    assert choose(URL("https://r.example:443/token")) is tls.identified
    for elsewhere in ("https://r.example:8443/", "https://storage.example/", "https://x.r.example/"):
        assert choose(URL(elsewhere)) is tls.anonymous
    assert tls.identified is not tls.anonymous


def test_a_private_authority_is_trusted_besides_the_others() -> None:
    common = ssl.create_default_context().cert_store_stats()["x509_ca"]
    tls = client_tls(CA.certificate, None, None)
    assert tls.anonymous.cert_store_stats()["x509_ca"] == common + 1
    assert tls.anonymous.verify_mode is ssl.CERT_REQUIRED
    assert tls.anonymous.check_hostname
    # The one of a key is as careful as the one without.
    both = client_tls(CA.certificate, ME.certificate, ME.key).identified
    assert (both.verify_mode, both.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("ca", "certificate", "key", "why"),
    [
        (b"", None, None, "ca.crt"),
        (b"hunter2", None, None, "ca.crt"),
        (b"\xff\xfe", None, None, "ca.crt"),
        (ME.key, None, None, "ca.crt"),
        (CA.certificate[:200], None, None, "ca.crt"),
        (None, ME.certificate, None, "belong together"),
        (None, None, ME.key, "belong together"),
        (None, ME.certificate, OTHER.key, "do not belong together"),
        (None, ME.certificate, b"hunter2", "are not PEM"),
        (None, b"hunter2", ME.key, "are not PEM"),
        (None, b"", b"", "are not PEM"),
        (None, SEALED.certificate, SEALED.key, "must not be encrypted"),
    ],
)
def test_what_cannot_be_used(ca: bytes | None, certificate: bytes | None, key: bytes | None, why: str) -> None:
    with pytest.raises(CertificateInvalid) as refused:
        client_tls(ca, certificate, key)
    assert why in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "PRIVATE" not in str(refused.value)


def test_nothing_stays_open() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    client_tls(CA.certificate, ME.certificate, ME.key)
    with pytest.raises(CertificateInvalid):
        client_tls(CA.certificate, ME.certificate, b"x")
    assert sorted(Path("/proc/self/fd").iterdir()) == before
