"""What the API server has against the objects of the target, hooks included, and whose fields Helm would take over."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import FIELD_MANAGER
from meshupgrade.helm.release import Release
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import KindNotServed
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.preflight.arriving import arrives, arriving_findings
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding, together
from meshupgrade.phases.preflight.dry_run import Answer, try_hooks, try_objects
from meshupgrade.phases.preflight.refusals import brief, is_immutable, refusal
from meshupgrade.phases.shape import Work

__all__ = ["CHECK", "Refused", "immutable_objects", "owner_findings", "what_is_refused"]

AUTOSCALER = "kube-controller-manager"
"""Who writes the replicas that an autoscaler asks for; the check of autoscaling speaks of them."""


@dataclass(frozen=True)
class Refused:
    """What the API server would not take of a release."""

    told: list[str]
    """Each object with why; those that are immutable left out."""

    immutable: list[ObjectRef]
    """What can only be changed by deleting and creating it."""


async def check(work: Work) -> list[Finding]:
    """Give a finding for each object that the API server would not take; none when Helm has nothing to do."""
    if release_fits(work):
        return []
    rendered = work.need_target().rendered
    events = ("pre-upgrade", "post-upgrade") if work.live is not None else ("pre-install", "post-install")
    objects, hooks = await together(try_objects(work, rendered), try_hooks(work, rendered, events))
    work.helms_own = frozenset(answer.ref for answer in objects if answer.taken.is_helms)
    work.recreated = frozenset(
        answer.ref for answer in objects if answer.error is not None and is_immutable(answer.ref, answer.error)
    )
    answers = [*objects, *hooks]
    crds = work.need_target().crds
    unserved = [answer for answer in answers if isinstance(answer.error, KindNotServed)]
    late = [item for answer in unserved for item in arriving_findings(answer.ref, answer.obj, crds)]
    found = [refusal(answer.ref, answer.error) for answer in _due(work, answers) if answer.error is not None]
    return [*found, *late, *owner_findings(objects)]


async def immutable_objects(work: Work, release: Release) -> list[ObjectRef]:
    """Give the objects of a release that can only be changed by deleting and creating them."""
    return (await what_is_refused(work, release)).immutable


async def what_is_refused(work: Work, release: Release) -> Refused:
    """Ask about each object of a release once, and give what the API server would not take of it."""
    refused = Refused([], [])
    for answer in _due(work, await try_objects(work, release, owners=False)):
        if answer.error is None:
            continue
        if is_immutable(answer.ref, answer.error):
            refused.immutable.append(answer.ref)
        else:
            refused.told.append(f"{answer.ref}: {brief(answer.ref, answer.error)}")
    return refused


def owner_findings(answers: Sequence[Answer]) -> list[Finding]:
    """Name, for each manager that set fields to something else than the chart does, these fields; never their values.

    Whoever edits by hand has to know that it does not last: Helm takes these fields over.
    """
    fields: dict[str, list[str]] = {}
    for answer in answers:
        for manager, path in answer.taken.owners:
            # What the operator itself set, such as an addon's image, it sets again.
            if manager != FIELD_MANAGER and (manager, path) != (AUTOSCALER, ".spec.replicas"):
                fields.setdefault(manager, []).append(f"{answer.ref} {path}")
    return [
        finding(
            FindingName.FIELD_CONFLICT,
            Severity.WARNING,
            f"{manager} set fields to something else than the chart does, and the upgrade takes them over: "
            f"{enumerate_some(taken)}",
            f"Put what has to stay into spec.values, and keep {manager} from setting it again.",
        )
        for manager, taken in sorted(fields.items())
    ]


def _due(work: Work, answers: Sequence[Answer]) -> list[Answer]:
    """Give the refusals; a kind that comes with the CRDs of this very hop, before Helm runs, is none."""
    crds = work.target.crds if work.target is not None else ()
    return [
        answer
        for answer in answers
        if answer.error is not None and not (isinstance(answer.error, KindNotServed) and arrives(answer.ref, crds))
    ]


CHECK = Check(
    (
        FindingName.OBJECT_REJECTED,
        FindingName.IMMUTABLE_FIELD_CHANGED,
        FindingName.REMOVED_APIS,
        FindingName.NAMESPACE_MISSING,
        FindingName.DRY_RUN_UNSUPPORTED,
        FindingName.FIELD_CONFLICT,
    ),
    "each object, hooks included, by a dry run",
    check,
    timeout=60.0,
)
