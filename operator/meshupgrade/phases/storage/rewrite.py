"""All objects of a CRD written as they are, page by page, so that each is stored in the version that is stored now."""

import asyncio
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.status import StorageMigration
from meshupgrade.domain.storage import Due
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict, Forbidden, NotFound, Rejected
from meshupgrade.phases.shape import Work
from meshupgrade.phases.storage.settle import Canary, is_refusal

__all__ = ["How", "Written", "rewrite", "rewrite_object"]

PARALLEL = 8
PAGE = 200
"""Objects in memory at a time, of which only the metadata is read."""

MOST_NAMED = 10


class How(enum.Enum):
    """What came of writing an object as it is."""

    ANEW = enum.auto()
    NOT_NEEDED = enum.auto()
    """It was stored in this version already, or somebody else wrote or deleted it meanwhile."""

    REFUSED = enum.auto()


@dataclass(frozen=True)
class Written:
    """An object that was written as it is."""

    name: str
    how: How
    canary: Canary | None = None
    """Tells later whether it is stored in another version by then; None when it was not we who wrote it."""


async def rewrite(
    work: Work, due: Due, versions: Sequence[str], progress: StorageMigration
) -> tuple[StorageMigration, Canary | None]:
    """Write every object of the CRD as it is, from where the progress says.

    Give the progress at the end, and one of the first objects as a canary, if there was any. ``versions`` are those
    that are served, the one to write through first. After each page the progress is recorded. Only begun after the
    storage switch has settled, this leaves no object in another version but those that were refused: what others write
    meanwhile is stored in the new version by that.
    """
    try:
        return await _pages(work, due, versions, progress)
    except Rejected:
        if not progress.continue_token:
            raise
    # The token is of no use any more; of the objects before it none is stored anew by being written again.
    anew = progress.model_copy(update={"continue_token": "", "objects": 0, "refused": []})
    return await _pages(work, due, versions, anew)


async def _pages(
    work: Work, due: Due, versions: Sequence[str], progress: StorageMigration
) -> tuple[StorageMigration, Canary | None]:
    kube, limit = work.tools.kube, asyncio.Semaphore(PARALLEL)
    api_versions = [f"{due.group}/{version}" for version in versions]
    canary: Canary | None = None

    async def write(item: Mapping[str, Any]) -> Written:
        async with limit:
            return await rewrite_object(kube, item, api_versions)

    pages = kube.pages(api_versions[0], due.kind, limit=PAGE, token=progress.continue_token or None, metadata_only=True)
    async for page in pages:
        written = await asyncio.gather(*(write(item) for item in page.items))
        canary = canary or next((one.canary for one in written if one.canary is not None), None)
        refused = [one.name for one in written if one.how is How.REFUSED]
        progress = progress.model_copy(
            update={
                "continue_token": page.token or "",
                "objects": progress.objects + len(written),
                "rewritten": progress.rewritten + sum(one.how is How.ANEW for one in written),
                "refused": [*progress.refused, *refused][:MOST_NAMED],
            }
        )
        await work.keep_migration(progress)
        await work.report(f"{progress.finished + progress.objects} objects rewritten so far, now of {due.name}")
    return progress, canary


async def rewrite_object(
    kube: Kube, item: Mapping[str, Any], api_versions: Sequence[str], *, dry_run: bool = False
) -> Written:
    """Write one object as it is, unless it has changed since it was read.

    An object that is not valid in one version, but is in another, is written through that. Raises Forbidden,
    Unreachable.
    """
    metadata, name = item["metadata"], str(ObjectRef.of(item))
    version = metadata["resourceVersion"]
    for api_version in api_versions:
        ref = ObjectRef(api_version, item["kind"], metadata["name"], metadata.get("namespace"))
        try:
            after = await kube.merge_patch(ref, {"metadata": {"resourceVersion": version}}, dry_run=dry_run)
        except (Conflict, NotFound):
            return Written(name, How.NOT_NEEDED)
        except (Rejected, Forbidden) as error:
            if not is_refusal(error):
                raise
            continue
        now = after["metadata"]["resourceVersion"]
        return Written(name, How.NOT_NEEDED if now == version else How.ANEW, Canary(ref, now))
    return Written(name, How.REFUSED)
