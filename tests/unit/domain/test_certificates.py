"""Certificates are read as a widely used library writes them."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meshupgrade.domain.certificates import read_certificates

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(end: datetime, *, authority: bool = True, name: str = "osm-ca") -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=3650))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(KEY, hashes.SHA256())
    )


def pem(*certificates: x509.Certificate) -> str:
    return "".join(item.public_bytes(serialization.Encoding.PEM).decode() for item in certificates)


@pytest.mark.parametrize("end", [datetime(2049, 3, 4, 5, 6, 7, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)])
def test_one_is_read(end: datetime) -> None:
    made = certificate(end)
    (read,) = read_certificates(f"a comment\n{pem(made)}")
    assert read.not_after == end
    assert read.fingerprint == made.fingerprint(hashes.SHA256()).hex()


def test_a_bundle_is_read_in_its_order() -> None:
    ends = [datetime(2040 + year, 1, 1, tzinfo=UTC) for year in range(3)]
    assert [read.not_after for read in read_certificates(pem(*map(certificate, ends)))] == ends


def test_what_is_no_authority_is_left_out() -> None:
    end = datetime(2040, 1, 1, tzinfo=UTC)
    leaf = certificate(end - timedelta(days=1), authority=False)
    assert [read.not_after for read in read_certificates(pem(leaf, certificate(end)))] == [end]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        pem(certificate(datetime(2040, 1, 1, tzinfo=UTC), authority=False)),
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="certificate"):
        read_certificates(text)
