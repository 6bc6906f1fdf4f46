"""The logins with which a node would pull the bootstrap's image, so that its CRDs can be read with them.

Source: Kubernetes' documentation, "Pull an Image from a Private Registry" and "Configure Service Accounts for Pods";
the kubelet passes over a Secret that is not there.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshupgrade.kube.client import ObjectRef
from meshupgrade.oci import Credentials, DockerConfigInvalid, ImageReference
from meshupgrade.phases.logins import keyring_in
from meshupgrade.phases.references import mask_login
from meshupgrade.phases.shape import Work

__all__ = ["PullLogins", "pull_logins", "pull_secret_names"]

Object = Mapping[str, Any]


@dataclass
class PullLogins:
    """Logins in the order in which they are tried, and what became of the Secrets that should have had more."""

    logins: list[Credentials] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


async def pull_logins(work: Work, objects: Sequence[Object], image: ImageReference) -> PullLogins:
    """Give the logins for an image out of the imagePullSecrets of the bootstrap. Raises the errors of kube."""
    account = _account(_bootstrap_pod(work, objects))
    live = await work.tools.kube.find(ObjectRef("v1", "ServiceAccount", account, work.namespace))
    found = PullLogins()
    for name in pull_secret_names(work, objects, live):
        secret = await work.tools.kube.find(ObjectRef("v1", "Secret", name, work.namespace))
        if secret is None:
            found.passed_over.append(f"namespace {work.namespace} has no Secret {name}")
            continue
        try:
            data = _data(secret)
            mask_login(work, data)
            keyring = keyring_in(data)
        except DockerConfigInvalid as error:
            found.passed_over.append(f"the docker configuration in Secret {name} cannot be used: {error}")
            continue
        logins = keyring.logins(image) if keyring else ()
        found.logins += [login for login in logins if login not in found.logins]
        if not logins:
            found.passed_over.append(f"Secret {name} has no login for {image.registry}")
    return found


def pull_secret_names(work: Work, objects: Sequence[Object], live_account: Object | None) -> list[str]:
    """Give the imagePullSecrets of the bootstrap: of its Pods, and of its ServiceAccount, rendered and live."""
    pod = _bootstrap_pod(work, objects)
    rendered = [obj for obj in objects if obj["kind"] == "ServiceAccount" and obj["metadata"]["name"] == _account(pod)]
    holders = [pod, *rendered, live_account or {}]
    names = [each.get("name") for holder in holders for each in holder.get("imagePullSecrets") or ()]
    return list(dict.fromkeys(name for name in names if name))


def _bootstrap_pod(work: Work, objects: Sequence[Object]) -> Object:
    for obj in objects:
        if obj["kind"] == "Deployment" and obj["metadata"]["name"] == work.distribution.bootstrap.deployment:
            pod: Object = obj["spec"]["template"]["spec"]
            return pod
    return {}


def _account(pod: Object) -> str:
    return str(pod.get("serviceAccountName") or pod.get("serviceAccount") or "default")


def _data(secret: Object) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError):
        raise DockerConfigInvalid("it is not base64") from None
