"""What can go wrong between an image's name and its CRDs.

    OCIError
    ├── ImageNotFound
    ├── RegistryUnreachable
    ├── RegistryDenied
    │   └── RegistryUntrusted
    │       └── RegistryPlain
    ├── ScratchUnavailable
    └── ImageInvalid
        ├── ReferenceInvalid
        ├── NoCRDs
        ├── DigestMismatch
        ├── LayerRefused
        └── UnsupportedLayer

Each message names the image or the registry, and what to do. None carries a credential, a token, or the query of a
URL, which is where storage services put their signatures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

__all__ = [
    "DigestMismatch",
    "ImageInvalid",
    "ImageNotFound",
    "LayerRefused",
    "NoCRDs",
    "OCIError",
    "ReferenceInvalid",
    "RegistryDenied",
    "RegistryPlain",
    "RegistryUnreachable",
    "RegistryUntrusted",
    "ScratchUnavailable",
    "UnsupportedLayer",
    "naming",
]


class OCIError(Exception):
    """Anything that keeps an image from being read."""

    transient: ClassVar[bool] = False
    """Whether trying again may help without anybody changing anything."""


class ImageNotFound(OCIError):
    """The registry answers, and has no such repository, tag, manifest or layer."""


class RegistryUnreachable(OCIError):
    """The registry, or its token service, does not answer, or answers that it cannot now."""

    transient = True


class RegistryDenied(OCIError):
    """The registry, or its token service, wants other credentials, or is set up so that none may be sent."""


class RegistryUntrusted(RegistryDenied):
    """TLS does not get through: an unknown CA, a name that does not fit, or a server without TLS."""


class RegistryPlain(RegistryUntrusted):
    """A server that answers in plain http where https was spoken."""


class ScratchUnavailable(OCIError):
    """There is no room here for the layers while they are read."""

    transient = True


class ImageInvalid(OCIError):
    """What the registry gave is not an image with CRDs in it."""


class ReferenceInvalid(ImageInvalid):
    """The text is not an image reference."""


class NoCRDs(ImageInvalid):
    """It can be read to the end, and has no CRD in it."""


class DigestMismatch(ImageInvalid):
    """The bytes are not those that the digest names."""


class LayerRefused(ImageInvalid):
    """A layer is damaged, larger than the bounds, or reaches outside the folder it is read for."""


class UnsupportedLayer(ImageInvalid):
    """A layer is packed in a way that is not read."""


@contextmanager
def naming(subject: str) -> Iterator[None]:
    """Put the subject in front of an ImageInvalid of code that knows the content of an image and not its name."""
    try:
        yield
    except ImageInvalid as error:
        raise type(error)(f"{subject}: {error}") from error.__cause__
