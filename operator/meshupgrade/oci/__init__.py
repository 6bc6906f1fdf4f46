"""CRDs out of an image: its layers are read from the registry, and nothing of it is ever run.

What can go wrong, for callers of ``read_crds`` and ``RegistryClient`` (see ``meshupgrade.oci.errors``)::

    OCIError
    ├── ImageNotFound            the registry does not have it
    ├── RegistryUnreachable      transient: try again
    ├── RegistryDenied           somebody has to change credentials or settings
    │   └── RegistryUntrusted    TLS does not get through
    │       └── RegistryPlain    since the other side speaks plain http
    ├── ScratchUnavailable       transient: no room for the layers
    └── ImageInvalid             the image itself, or the name given for it, is no use
        ├── ReferenceInvalid
        ├── NoCRDs
        ├── DigestMismatch
        ├── LayerRefused
        └── UnsupportedLayer
"""

from meshupgrade.oci.auth import Credentials
from meshupgrade.oci.crds import ImageCRDs, read_crds
from meshupgrade.oci.errors import (
    DigestMismatch,
    ImageInvalid,
    ImageNotFound,
    LayerRefused,
    NoCRDs,
    OCIError,
    ReferenceInvalid,
    RegistryDenied,
    RegistryPlain,
    RegistryUnreachable,
    RegistryUntrusted,
    ScratchUnavailable,
    UnsupportedLayer,
)
from meshupgrade.oci.keyring import DockerConfigInvalid, Keyring, parse_docker_config
from meshupgrade.oci.reference import ImageReference, parse_reference
from meshupgrade.oci.registry import RegistryClient
from meshupgrade.oci.tls import CertificateInvalid, ClientTLS, client_tls

__all__ = [
    "CertificateInvalid",
    "ClientTLS",
    "Credentials",
    "DigestMismatch",
    "DockerConfigInvalid",
    "ImageCRDs",
    "ImageInvalid",
    "ImageNotFound",
    "ImageReference",
    "Keyring",
    "LayerRefused",
    "NoCRDs",
    "OCIError",
    "ReferenceInvalid",
    "RegistryClient",
    "RegistryDenied",
    "RegistryPlain",
    "RegistryUnreachable",
    "RegistryUntrusted",
    "ScratchUnavailable",
    "UnsupportedLayer",
    "client_tls",
    "parse_docker_config",
    "parse_reference",
    "read_crds",
]
