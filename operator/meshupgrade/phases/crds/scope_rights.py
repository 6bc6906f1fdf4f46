"""Whether the account may do all that a change of scope takes."""

import asyncio

from meshupgrade.domain.scope import ScopeChange, keeps_status
from meshupgrade.phases.shape import Work

__all__ = ["missing_rights"]


async def missing_rights(work: Work, change: ScopeChange) -> list[str]:
    """Give what the account may not do of what is needed: nothing in the middle of it may be refused."""
    plural = change.merged["spec"]["names"]["plural"]
    needed = [
        ("delete", "apiextensions.k8s.io", "customresourcedefinitions", None),
        *((verb, change.group, plural, None) for verb in ("list", "get", "create", "patch", "delete")),
        *((verb, "", "secrets", work.namespace) for verb in ("list", "get", "create", "patch", "delete")),
    ]
    if keeps_status(change.merged, change.version):
        needed.append(("patch", change.group, f"{plural}/status", None))

    async def missing(verb: str, group: str, resource: str, namespace: str | None) -> str:
        plural, _, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
        review = await work.tools.kube.json(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes | ({"namespace": namespace} if namespace else {})},
            },
        )
        return "" if review["status"]["allowed"] else f"{verb} {resource}{f'.{group}' if group else ''}"

    return [text for text in await asyncio.gather(*(missing(*right) for right in needed)) if text]
