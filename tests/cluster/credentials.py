"""Keys, certificates and tokens of one control plane; they live as long as its folder."""

import base64
import datetime
import ipaddress
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .ports import LOOPBACK

__all__ = ["Credentials", "create_credentials", "write_kubeconfig"]

LIFETIME = datetime.timedelta(days=30)
SERVICE_ADDRESS = "10.96.0.1"
SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
#: Everybody of the rig is an admin: nothing in it tests the permissions of Kubernetes' own components.
USERS = ("admin", "system:kube-controller-manager", "system:kube-scheduler", "kwok")


@dataclass(frozen=True)
class Credentials:
    """Files of one control plane, and its tokens by user name."""

    ca: Path
    ca_key: Path
    server: Path
    server_key: Path
    accounts_key: Path
    accounts_public: Path
    token_file: Path
    tokens: dict[str, str]


def create_credentials(folder: Path) -> Credentials:
    """Make new credentials in `folder`, readable by this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Elliptic keys: making an RSA key takes longer than starting etcd.
    ca_key, server_key, accounts_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "meshupgrade-rig")])
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in (LOOPBACK, SERVICE_ADDRESS)]
    names = [x509.DNSName(name) for name in SERVER_NAMES]
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    server = (
        _certificate(server_name, ca_name, server_key.public_key())
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    tokens = {user: secrets.token_hex(16) for user in USERS}
    lines = [f'{token},{user},{user},"system:masters"\n' for user, token in tokens.items()]
    pem = serialization.Encoding.PEM
    public = accounts_key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Credentials(
        ca=_write(folder / "ca.crt", ca.public_bytes(pem)),
        ca_key=_write(folder / "ca.key", _private(ca_key)),
        server=_write(folder / "apiserver.crt", server.public_bytes(pem)),
        server_key=_write(folder / "apiserver.key", _private(server_key)),
        accounts_key=_write(folder / "accounts.key", _private(accounts_key)),
        accounts_public=_write(folder / "accounts.pub", public),
        token_file=_write(folder / "tokens.csv", "".join(lines).encode()),
        tokens=tokens,
    )


def write_kubeconfig(path: Path, server: str, ca: Path, token: str) -> Path:
    """Write a kubeconfig that needs no other file; gives `path` back."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "rig",
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode()},
            }
        ],
        "users": [{"name": "rig", "user": {"token": token}}],
        "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "rig"}}],
        "current-context": "rig",
    }
    return _write(path, json.dumps(config, indent=1).encode())


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    # A minute back, so that a clock that is set back a little does not make it a certificate of the future.
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(start + LIFETIME)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    format_ = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, format_, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
