"""The values that the spec asks for: ConfigMaps and Secrets in their order, a later one over an earlier, the spec last.

Read once a run, before anything needs them. What came out of a Secret is made known to the scrubber at once.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import ValuesKind, ValuesReference
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.merge import leaf_paths, lookup
from meshupgrade.domain.secrets import texts
from meshupgrade.domain.set_values import PathInvalid, set_value
from meshupgrade.domain.values import merge_files
from meshupgrade.domain.values_file import ValuesFileInvalid, parse_values
from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.kube.errors import Forbidden
from meshupgrade.phases.references import ReferenceInvalid, read_config_map, read_secret
from meshupgrade.phases.shape import Work

__all__ = ["base_revision", "find_base", "resolve_values", "slow_digest"]

SCRYPT_COST = 2**14
"""16 MiB and some 50 ms: nobody who reads the digest in the status shall find a short password by trying."""


class _Unusable(Exception):
    """What a reference leads to is no values; holds the finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


async def resolve_values(work: Work) -> None:
    """Put the values of the spec into the Work, their digest, and what keeps them from being read.

    Raises the errors of kube, but for Forbidden.
    """
    values: dict[str, Any] = {}
    secret: dict[str, Any] = {}
    public: dict[str, Any] = {}
    work.value_findings = []
    for index, reference in enumerate(work.spec.values_from):
        field = f"spec.valuesFrom[{index}]"
        try:
            text = await _read(work, reference, field)
            if text is None:
                continue
            values = _laid_over(values, reference, text, field)
            if reference.kind is ValuesKind.SECRET:
                secret = _laid_over(secret, reference, text, field)
            else:
                public = _laid_over(public, reference, text, field)
        except (_Unusable, ReferenceInvalid) as error:
            work.value_findings.append(error.finding)
        except Forbidden as error:
            work.value_findings.append(_forbidden(field, error))
    work.values = merge_files(values, work.spec.values)
    work.secret_paths = tuple(leaf_paths(secret))
    _make_known(work, secret, [*texts(public), *texts(work.spec.values)])
    work.values_digest = await _digest(work, secret=bool(secret)) if work.spec.values_from else ""


async def find_base(work: Work) -> Release | None:
    """Give the release whose values Reuse and ResetThenReuse start from, None when none is stored.

    The newest that was verified, or that others made: what our own attempts for a target put in is not there, so that
    it does not pile up, and what an admin set by hand is.
    """
    revision = base_revision(work)
    if revision is None or (work.live is not None and work.live.revision == revision):
        return work.live
    return await work.storage.read(revision)


def base_revision(work: Work) -> int | None:
    """Give the revision of that release, None when there is no better one than the one that runs."""
    for stored in work.revisions:
        theirs = not work.made(stored) and stored.status in (ReleaseStatus.DEPLOYED, ReleaseStatus.SUPERSEDED)
        if theirs or stored.revision == work.verified:
            return stored.revision
    return None


async def _read(work: Work, reference: ValuesReference, field: str) -> str | None:
    """Give the text that the reference leads to, None when it may be missing and is."""
    try:
        if reference.kind is ValuesKind.SECRET:
            content = (await read_secret(work, reference.name, field=field)).get(reference.key)
            text = content.decode() if content is not None else None
        else:
            text = (await read_config_map(work, reference.name, field=field)).get(reference.key)
    except UnicodeDecodeError as error:
        raise _invalid(field, reference, "is no text in UTF-8") from error
    except ReferenceInvalid as error:
        if reference.optional and error.missing:
            return None
        raise
    if text is None and not reference.optional:
        raise ReferenceInvalid(
            field,
            f"{reference.kind} {reference.name} has no key {reference.key}",
            f"Add the key, set {field}.key to one that is there, or {field}.optional to true.",
        )
    return text


def _laid_over(values: Mapping[str, Any], reference: ValuesReference, text: str, field: str) -> dict[str, Any]:
    try:
        if reference.target_path is None:
            return merge_files(values, parse_values(text))
        return set_value(values, reference.target_path, text, literal=reference.literal)
    except ValuesFileInvalid as error:
        raise _invalid(field, reference, f"is no values file: {error}") from error
    except PathInvalid as error:
        raise _invalid(field, reference, f"cannot be set at targetPath {reference.target_path}: {error}") from error


def _invalid(field: str, reference: ValuesReference, why: str) -> _Unusable:
    return _Unusable(
        Finding(
            name=FindingName.VALUES_INVALID,
            severity=Severity.ERROR,
            phase=Phase.PREFLIGHT,
            message=f"{field}: key {reference.key} of {reference.kind} {reference.name} {why}",
            remedy=f"Correct the {reference.kind}, or {field}.",
        )
    )


def _forbidden(field: str, error: Forbidden) -> Finding:
    return Finding(
        name=FindingName.FORBIDDEN,
        severity=Severity.ERROR,
        phase=Phase.PREFLIGHT,
        message=f"{field}: {error.message}",
        remedy="Give the operator's account the right that is named.",
    )


def _make_known(work: Work, secret: Mapping[str, Any], public: list[str]) -> None:
    """Have everything masked that came out of a Secret, and what stood in its place before, in the live release."""
    live = work.live.config if work.live is not None else {}
    before = [lookup(live, path) for path in leaf_paths(secret)]
    names = [
        work.namespace,
        work.release,
        str(work.version),
        str(work.distribution.name),
        *work.distribution.chart.names,
    ]
    work.tools.secrets.keep(work.owner, [*texts(secret), *texts(before)], [*public, *names])


async def _digest(work: Work, *, secret: bool) -> str:
    content = json.dumps(work.values, sort_keys=True).encode()
    return await slow_digest(content, work.uid) if secret else hashlib.sha256(content).hexdigest()


async def slow_digest(content: bytes, salt: str) -> str:
    """Give a digest of what holds secrets, which nobody finds by trying. Source: RFC 7914."""
    derived = await asyncio.to_thread(
        hashlib.scrypt, content, salt=salt.encode(), n=SCRYPT_COST, r=8, p=1, maxmem=64 * 1024 * 1024, dklen=32
    )
    return derived.hex()
