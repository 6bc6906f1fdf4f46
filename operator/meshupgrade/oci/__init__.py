"""CRDs out of an image: its layers are read from the registry, and nothing of it is ever run.

What can go wrong, for callers of ``read_crds`` and ``RegistryClient`` (see ``meshupgrade.oci.errors``)::

    OCIError
    ├── ImageNotFound            the registry does not have it
    ├── RegistryUnreachable      transient: try again
    ├── RegistryDenied           somebody has to change credentials or settings
    │   └── RegistryUntrusted    TLS does not get through
    ├── ScratchUnavailable       transient: no room for the layers
    └── ImageInvalid             the image itself, or the name given for it, is no use
        ├── ReferenceInvalid
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
    OCIError,
    ReferenceInvalid,
    RegistryDenied,
    RegistryUnreachable,
    RegistryUntrusted,
    ScratchUnavailable,
    UnsupportedLayer,
)
from meshupgrade.oci.reference import ImageReference, parse_reference
from meshupgrade.oci.registry import RegistryClient

__all__ = [
    "Credentials",
    "DigestMismatch",
    "ImageCRDs",
    "ImageInvalid",
    "ImageNotFound",
    "ImageReference",
    "LayerRefused",
    "OCIError",
    "ReferenceInvalid",
    "RegistryClient",
    "RegistryDenied",
    "RegistryUnreachable",
    "RegistryUntrusted",
    "ScratchUnavailable",
    "UnsupportedLayer",
    "parse_reference",
    "read_crds",
]
