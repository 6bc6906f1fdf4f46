"""Logins out of the docker configuration that Kubernetes keeps in Secrets, and which of them are for an image.

Source: the kubelet's own keyring (kubernetes, pkg/credentialprovider: keyring.go and config.go), so that what pulls
the image on a node reads its CRDs here. What it leaves out is docker's: identity tokens (docker/cli, "Credential
helper protocol" and the field ``identitytoken`` of config.json).
"""

import base64
import binascii
import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.domain.image_names import DEFAULT_REGISTRY
from meshupgrade.oci.auth import Credentials
from meshupgrade.oci.reference import ImageReference

__all__ = ["DockerConfigInvalid", "Keyring", "parse_docker_config"]

#: Under this name docker keeps the login for the default registry, as https://index.docker.io/v1/.
_DEFAULT_KEY = "index.docker.io"


class DockerConfigInvalid(Exception):
    """A docker configuration that cannot be read; the message never holds what is in it."""


@dataclass(frozen=True)
class Keyring:
    """Logins by the place they are for: a host, with a port or a path or both; ``*`` stands for a part of a name."""

    entries: Mapping[str, Credentials]

    def logins(self, reference: ImageReference) -> Sequence[Credentials]:
        """Give the logins for an image, the most specific first; several may fit."""
        wanted = f"{reference.registry}/{reference.repository}"
        found = [self.entries[place] for place in sorted(self.entries, reverse=True) if _fits(place, wanted)]
        if not found and reference.registry == DEFAULT_REGISTRY and _DEFAULT_KEY in self.entries:
            found.append(self.entries[_DEFAULT_KEY])
        return found


def parse_docker_config(content: bytes, *, legacy: bool = False) -> Keyring:
    """Give the logins of a .dockerconfigjson, or, as ``legacy``, of a .dockercfg. Raises DockerConfigInvalid."""
    config = _object(content)
    auths = config if legacy else config.get("auths", {})
    if not isinstance(auths, dict) or not all(isinstance(entry, dict) for entry in auths.values()):
        raise DockerConfigInvalid("its auths is no object of objects")
    entries = {}
    for place, entry in auths.items():
        login = _login(place, entry)
        if login is not None and (key := _key(place)) is not None:
            entries[key] = login
    if not entries and (config.get("credsStore") or config.get("credHelpers")):
        raise DockerConfigInvalid("its logins are in a credential store of the machine where it was made")
    return Keyring(entries)


def _object(content: bytes) -> dict[str, Any]:
    try:
        config = json.loads(content)
    except (ValueError, RecursionError):
        raise DockerConfigInvalid("it is not JSON") from None
    if not isinstance(config, dict):
        raise DockerConfigInvalid("it is no JSON object")
    return config


def _login(place: str, entry: Mapping[str, Any]) -> Credentials | None:
    fields = {name: entry.get(name) or "" for name in ("username", "password", "auth", "identitytoken")}
    if not all(isinstance(value, str) for value in fields.values()):
        raise DockerConfigInvalid(f"its entry for {place[:100]!r} has something else than text in it")
    username, password = fields["username"], fields["password"]
    if fields["auth"]:
        username, password = _decoded(place, fields["auth"])
    if not (username or password or fields["identitytoken"]):
        return None
    return Credentials(username, password, fields["identitytoken"])


def _decoded(place: str, auth: str) -> tuple[str, str]:
    bare = auth.strip().rstrip("=")
    try:
        pair = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        pair = ""
    username, colon, password = pair.partition(":")
    if not colon:
        raise DockerConfigInvalid(f"auth of its entry for {place[:100]!r} is not base64 of username:password")
    return username, password


def _key(place: str) -> str | None:
    """Give host[:port][/path] of the place that an entry is for, None for one that nothing can fit."""
    text = place if place.startswith(("http://", "https://")) else f"https://{place}"
    scheme_end = text.index("://") + 3
    host, slash, path = text[scheme_end:].partition("/")
    path = (slash + path).partition("?")[0]
    if not host or "@" in host:
        return None
    # Docker's own: the two versions of the API are the host as a whole.
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return host.lower() + ("" if path == "/" else path)


def _fits(place: str, wanted: str) -> bool:
    (host, port, path), (wanted_host, wanted_port, wanted_path) = _split(place), _split(wanted)
    parts, wanted_parts = host.split("."), wanted_host.split(".")
    return (
        port == wanted_port
        and len(parts) == len(wanted_parts)
        and wanted_path.startswith(path)
        and all(fnmatch.fnmatchcase(given, part) for given, part in zip(wanted_parts, parts, strict=True))
    )


def _split(place: str) -> tuple[str, str, str]:
    """Give host, port and path; a port that is not said is none, whatever the scheme."""
    address, slash, path = place.partition("/")
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, ""
    # Brackets of an IPv6 address would be a wildcard otherwise.
    return host.strip("[]").lower(), port, slash + path
