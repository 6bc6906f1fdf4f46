"""Logins and certificates out of Secrets that the spec names, for registries and chart repositories."""

from collections.abc import Mapping, Sequence

from meshupgrade.api.v1alpha1.spec import LocalReference
from meshupgrade.oci import (
    CertificateInvalid,
    ClientTLS,
    Credentials,
    DockerConfigInvalid,
    ImageReference,
    Keyring,
    client_tls,
    parse_docker_config,
)
from meshupgrade.phases.references import ReferenceInvalid, mask_login, read_secret
from meshupgrade.phases.shape import Work

__all__ = ["DOCKER_CONFIG", "keyring_in", "named_logins", "named_tls"]

DOCKER_CONFIG = ".dockerconfigjson"
OLD_DOCKER_CONFIG = ".dockercfg"

FORMS = f"Put {DOCKER_CONFIG} into it, or username and password."


async def named_logins(
    work: Work, named: LocalReference, image: ImageReference, *, field: str
) -> Sequence[Credentials]:
    """Give the logins for an image out of a Secret that the spec names; none when it has some, but for other places.

    ``field`` is the field of the spec. A username and password are for whatever the field is about. Raises
    ReferenceInvalid and the errors of kube.
    """
    data = await read_secret(work, named.name, field=field)
    mask_login(work, data)
    try:
        if keyring := keyring_in(data):
            return keyring.logins(image)
        if "username" in data and "password" in data:
            return [Credentials(data["username"].decode(), data["password"].decode())]
    except DockerConfigInvalid as error:
        raise ReferenceInvalid(
            field, f"the docker configuration in Secret {named.name} cannot be used: {error}", "Make the Secret anew."
        ) from error
    except UnicodeDecodeError as error:
        raise ReferenceInvalid(field, f"Secret {named.name} holds something else than text", FORMS) from error
    raise ReferenceInvalid(field, f"Secret {named.name} has neither {DOCKER_CONFIG} nor username and password", FORMS)


def keyring_in(data: Mapping[str, bytes]) -> Keyring | None:
    """Give the docker configuration in the data of a Secret, None without one. Raises DockerConfigInvalid."""
    if DOCKER_CONFIG in data:
        return parse_docker_config(data[DOCKER_CONFIG])
    if OLD_DOCKER_CONFIG in data:
        return parse_docker_config(data[OLD_DOCKER_CONFIG], legacy=True)
    return None


async def named_tls(work: Work, named: LocalReference | None, *, field: str) -> ClientTLS | None:
    """Give what a Secret that the spec names holds for TLS: ca.crt, and tls.crt with tls.key; None without a Secret.

    ``field`` is the field of the spec. Raises ReferenceInvalid and the errors of kube.
    """
    if named is None:
        return None
    data = await read_secret(work, named.name, field=field)
    mask_login(work, data)
    remedy = "Put ca.crt into it, or tls.crt and tls.key, or all three, in PEM."
    ca, certificate, key = (data.get(name) for name in ("ca.crt", "tls.crt", "tls.key"))
    if ca is None and certificate is None and key is None:
        raise ReferenceInvalid(field, f"Secret {named.name} has none of ca.crt, tls.crt and tls.key", remedy)
    try:
        return client_tls(ca, certificate, key)
    except CertificateInvalid as error:
        raise ReferenceInvalid(field, f"Secret {named.name}: {error}", remedy) from error
