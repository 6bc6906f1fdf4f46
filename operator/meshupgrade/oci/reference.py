"""Image references: ``host[:port]/repository[:tag][@sha256:…]``.

The grammar is that of the OCI distribution specification, "Pulling manifests" (repository, tag), and of the OCI image
specification, "Digests".
"""

import ipaddress
import re
from dataclasses import dataclass

from meshupgrade.domain.image_names import DEFAULT_TAG, split_registry, split_tag
from meshupgrade.oci.errors import ReferenceInvalid

__all__ = ["ImageReference", "is_digest", "parse_reference"]

#: The specification leaves it to the registry; runtimes refuse more, and so does the name of a file.
_MAX_REPOSITORY = 255
#: RFC 1035 section 2.3.4, without the root label.
_MAX_HOST = 253

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?P<name>{_LABEL}(?:\.{_LABEL})*|\[(?P<ipv6>[0-9a-fA-F:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One image, or one repository of them when it has neither tag nor digest.

    With both, the digest decides, as in every runtime; the tag is kept for people to read.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        fault = _fault(self.registry, self.repository, self.tag, self.digest)
        if fault:
            raise ReferenceInvalid(f"image {_shown(str(self))}: {fault}")

    def __str__(self) -> str:
        """Give the full form, every default written out; parsing it gives the parsed reference again."""
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def target(self) -> str:
        """What to ask the registry for: the digest, else the tag, else the default tag."""
        return self.digest or self.tag or DEFAULT_TAG


def parse_reference(text: str) -> ImageReference:
    """Give the reference in the text; docker.io, library/ and the tag latest are filled in as every runtime does.

    Raises ReferenceInvalid, naming the part that is wrong, also for a scheme such as ``oci://``.
    """
    if "://" in text:
        raise ReferenceInvalid(
            f"image {_shown(text)}: an image is named without a scheme; write it as host/repository:tag"
        )
    rest, at, digest = text.partition("@")
    name, tag = split_tag(rest)
    if tag is None and not at:
        tag = DEFAULT_TAG
    registry, repository = split_registry(name)
    fault = _fault(registry, repository, tag, digest if at else None)
    if fault:
        raise ReferenceInvalid(f"image {_shown(text)}: {fault}")
    return ImageReference(registry, repository, tag, digest if at else None)


def is_digest(value: object) -> bool:
    """Tell whether this is a digest that can be verified here: sha256, which is what registries write."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _fault(registry: str, repository: str, tag: str | None, digest: str | None) -> str | None:
    if not _is_address(registry):
        return f"{_shown(registry)} is not a host or host:port"
    if not _REPOSITORY.fullmatch(repository):
        return f"{_shown(repository)} is not a repository: lower case letters, digits, and . _ - / between them"
    if len(repository) > _MAX_REPOSITORY:
        return f"its repository is longer than {_MAX_REPOSITORY} characters"
    if tag is not None and not _TAG.fullmatch(tag):
        return f"{_shown(tag)} is not a tag: up to 128 letters, digits, and . _ -"
    if digest is not None and not is_digest(digest):
        return f"{_shown(digest)} is not a digest: write sha256: and 64 digits of lower case hex"
    return None


def _is_address(registry: str) -> bool:
    match = _HOST.fullmatch(registry)
    if not match or len(match["name"]) > _MAX_HOST or int(match["port"] or 0) > 65535:
        return False
    try:
        return match["ipv6"] is None or bool(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
