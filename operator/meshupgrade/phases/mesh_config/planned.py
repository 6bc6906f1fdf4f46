"""What the MeshConfig will be: new defaults merged in, or changes taken back, and over that what the spec sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshupgrade.api.v1alpha1.spec import MeshConfigDefaults
from meshupgrade.distributions import Distribution
from meshupgrade.domain.crds import served_version
from meshupgrade.domain.mesh_config import ImageFields, as_made, as_stored, is_set_by, missing, opened, patched
from meshupgrade.domain.structural_schema import EVERYTHING, Schema, schema_of
from meshupgrade.domain.three_way import Difference, Merged, Path, differences, merge_defaults, shown_path
from meshupgrade.helm.release import Release
from meshupgrade.kube.errors import NotFound
from meshupgrade.phases.live_crds import crd_now, known_crd
from meshupgrade.phases.mesh_config.find import find_mesh_config, mesh_config_of
from meshupgrade.phases.mesh_config.snapshots import undone
from meshupgrade.phases.preset import generated_paths, preset_of
from meshupgrade.phases.shape import Work

__all__ = [
    "Planned",
    "asks_for_anything",
    "image_fields",
    "mesh_config_unpruned",
    "plan_mesh_config",
    "plan_under",
    "planned_mesh_config",
    "planned_now",
    "schema_in",
]

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """What a MeshConfig is and will be, both as the API server keeps them under the schema to come."""

    live: Object | None
    """The object; None when the release's bootstrap has yet to make it."""

    before: dict[str, Any]
    spec: dict[str, Any]
    schema: Schema
    conflicts: Sequence[Difference] = ()
    """Fields that stay though their default changed, and of which the spec of the MeshUpgrade says nothing."""

    opened: Sequence[Difference] = ()
    """Switches that hold traffic back, until a new default that is merged lets it pass."""

    undone: Sequence[str] = ()
    """Going back: the fields that get back what they had."""

    stays: Sequence[str] = ()
    """Going back: the fields that people changed since."""

    lost: Sequence[str] = ()
    """Going back: snapshots that are not there any more."""

    blind: bool = False
    """Whether the defaults of before are not known, so that nothing could be merged."""

    differing: Sequence[Path] = ()
    """The defaults of the release that something else stands in the place of, and not by the spec."""

    unknown: Mapping[str, Any] = field(default_factory=dict)
    """The part of spec.meshConfig.patch that the schema has no fields for."""

    generated: frozenset[Path] = frozenset()


async def planned_mesh_config(work: Work) -> Object | None:
    """Give the spec that the MeshConfig will have after the upgrade, or going back.

    None when there is no MeshConfig, and none to come that is known. Raises the errors of kube.
    """
    planned = await plan_mesh_config(work)
    return planned.spec if planned is not None else None


async def plan_mesh_config(work: Work) -> Planned | None:
    """Plan by what lives now and by the schema that the CRD will have; the preset stands in for a MeshConfig to come.

    Raises the errors of kube.
    """
    live = await find_mesh_config(work, known_crd)
    if live is None and (work.target is None or not preset_of(work.target.rendered.objects())):
        return None
    return await planned_from(work, live, await _schema_to_come(work))


async def plan_under(work: Work, live: Object, crd: Object) -> Planned:
    """Plan for that MeshConfig by the CRD that is to come. Raises the errors of kube."""
    return await planned_from(work, live, schema_in(crd))


async def planned_now(work: Work, *, with_spec: bool = True) -> Planned | None:
    """Plan by what lives, and by the schema that it has, at this moment; None when there is no MeshConfig.

    New defaults are merged by an attempt alone, of which history tells, and never at rest. Raises the errors of kube.
    """
    crd = await crd_now(work, f"meshconfigs.{work.distribution.mesh_config.group}")
    live = await mesh_config_of(work.tools.kube, work.distribution, work.namespace, crd)
    if live is None:
        return None
    return await planned_from(work, live, schema_in(crd), with_spec=with_spec, merge=work.snapshot is not None)


async def planned_from(
    work: Work, live: Object | None, schema: Schema, *, with_spec: bool = True, merge: bool = True
) -> Planned:
    """Plan by that object, or by the preset of the new release where there is none yet.

    Without ``with_spec`` what spec.meshConfig and spec.dataPlane set is left out. Raises the errors of kube.
    """
    release = work.target.rendered if work.target is not None else work.live
    preset = preset_of(release.objects()) if release is not None else {}
    generated = generated_paths(preset, release) if release is not None else frozenset()
    new = as_made(preset, schema)
    before = as_stored(live.get("spec") or {}, schema) if live is not None else new
    merged, blind = Merged(result=before), False
    patch = work.spec.mesh_config.patch if with_spec else {}
    image = work.spec.data_plane.sidecar_image if with_spec else None
    fields = image_fields(work.distribution)

    def left_open(path: Path) -> bool:
        return not is_set_by(path, patch, image, fields)

    told: dict[str, Sequence[str]] = {}
    if work.undo is not None:
        merged, lost = await _undo(work, work.undo, before, schema)
        told = {
            "lost": lost,
            "undone": _paths([one for one in merged.taken if left_open(one.path)]),
            "stays": _paths(merged.conflicts),
        }
    elif merge and live is not None and preset and work.spec.mesh_config.defaults is MeshConfigDefaults.MERGE:
        base = await _base(work)
        blind = base is None
        if base is not None:
            merged = merge_defaults(as_made(base, schema, before), before, new, generated)
    wanted = patched(merged.result, patch, image, fields)
    spec = as_stored(wanted, schema)
    going_back = work.undo is not None
    guards = work.distribution.mesh_config.guard_paths
    looser = [] if going_back else opened(before, merged.result, guards)
    return Planned(
        live=live,
        before=before,
        spec=spec,
        schema=schema,
        conflicts=[one for one in merged.conflicts if not going_back and left_open(one.path)],
        opened=[one for one in looser if left_open(one.path)],
        blind=blind,
        differing=[path for path in differences(spec, new, generated) if left_open(path)] if preset else (),
        unknown=missing(spec, patch) if wanted != spec else {},
        generated=generated,
        **told,
    )


async def mesh_config_unpruned(work: Work, live: Object) -> dict[str, Any]:
    """Give the spec that a merge and the spec make of a MeshConfig, before a CRD takes anything of it.

    What is in this and not in the CRD to come is lost; what the new defaults leave out is none's loss. Raises the
    errors of kube.
    """
    spec: Mapping[str, Any] = live.get("spec") or {}
    release = work.target.rendered if work.target is not None else work.live
    preset = preset_of(release.objects()) if release is not None else {}
    merges = preset and work.undo is None and work.spec.mesh_config.defaults is MeshConfigDefaults.MERGE
    if merges and (base := await _base(work)) is not None:
        schema = schema_in(await known_crd(work, f"meshconfigs.{work.distribution.mesh_config.group}"))
        spec = merge_defaults(as_made(base, schema, spec), spec, preset).result
    return patched(spec, work.spec.mesh_config.patch, None, image_fields(work.distribution))


def asks_for_anything(work: Work) -> bool:
    """Tell whether the MeshConfig may have to be changed, so that it is waited for."""
    wants = work.spec.mesh_config.patch or work.spec.data_plane.sidecar_image or work.undo
    return bool(wants) or work.spec.mesh_config.defaults is MeshConfigDefaults.MERGE


def image_fields(distribution: Distribution) -> ImageFields:
    """Give the fields of a mesh's MeshConfig that name the image of the sidecar."""
    facts = distribution.mesh_config
    if (drivers := facts.drivers) is None:
        return ImageFields(facts.sidecar_image_path)
    return ImageFields(facts.sidecar_image_path, drivers.path, drivers.name, drivers.image, drivers.class_path)


async def _base(work: Work) -> Object | None:
    """Give the defaults that the MeshConfig was last brought up to; None when they are not known."""
    if work.preset_revision is None:
        return None
    if work.live is not None and work.live.revision == work.preset_revision:
        release: Release = work.live
    else:
        try:
            release = await work.storage.read(work.preset_revision)
        except NotFound:
            return None
    return preset_of(release.objects()) or None


async def _undo(work: Work, names: Sequence[str], live: Object, schema: Schema) -> tuple[Merged, list[str]]:
    snapshot, lost = await undone(work, names)
    if snapshot is None:
        return Merged(result=dict(live)), lost
    # What the schema of now has no fields for, a newer or an older one had.
    after, before = as_stored(snapshot.after, schema), as_stored(snapshot.before, schema)
    return merge_defaults(after, live, before), lost


async def _schema_to_come(work: Work) -> Schema:
    """Give the schema that the CRD will have once this hop has changed it."""
    name = f"meshconfigs.{work.distribution.mesh_config.group}"
    expected = next((look.expected for look in work.crd_looks if look.name == name), None)
    crd: Object | None = {"spec": expected.spec} if expected is not None else await known_crd(work, name)
    return schema_in(crd)


def schema_in(crd: Object | None) -> Schema:
    """Give the schema of the version in which a MeshConfig is read and written; one that keeps all without a CRD."""
    version = served_version(crd) if crd is not None else None
    return schema_of(crd, version) if crd is not None and version is not None else EVERYTHING


def _paths(found: Sequence[Difference]) -> list[str]:
    return [shown_path(one.path) for one in found]
