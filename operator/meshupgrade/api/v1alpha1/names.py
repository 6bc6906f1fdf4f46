"""Names that are part of the API: changing one is a breaking change for objects that already exist."""

from typing import Final

GROUP: Final = "meshupgrade.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "MeshUpgrade"
PLURAL: Final = "meshupgrades"
SINGULAR: Final = "meshupgrade"
SHORT_NAME: Final = "mup"

FIELD_MANAGER: Final = "meshupgrade"
"""Owner of what the operator applies to the mesh; Helm's own writes stay Helm's."""

STATUS_MANAGER: Final = "meshupgrade-status"
"""Owner of .status of MeshUpgrades, apart from the other so that neither apply prunes the other's fields."""

FINALIZER: Final = f"{GROUP}/upgrade-in-progress"
"""Set before the first write of an upgrade and removed at rest, so that no object at rest hangs in Terminating."""

RECONCILE_REQUESTED_AT: Final = f"{GROUP}/reconcile-requested-at"
"""Annotation on a MeshUpgrade: a new value asks for a fresh run, and for a fresh budget of attempts."""

CRD_WRITTEN_BY: Final = f"{GROUP}/written-by"
"""Annotation on a CRD of a mesh: <distribution>/<version> of the newest mesh version whose schema it carries."""

CRD_WRITTEN_VERSIONS: Final = f"{GROUP}/written-versions"
"""Annotation on a CRD of a mesh: the digests of the versions that written-by speaks of; where they differ, it lies."""

HELD: Final = f"{GROUP}/held"
"""Label on what is held off while CRDs change (a bootstrap, a CRD's reconciler): the uid of the MeshUpgrade."""

HELD_RECORD: Final = f"{GROUP}/held-record"
"""Annotation beside that label: what to restore, and for whom, as JSON."""

FENCE_MANAGER: Final = "meshupgrade-fence"
"""Owner of the fields by which bootstraps are held off."""

CRD_LEASE: Final = ("kube-system", "meshupgrade-crds")
"""Namespace and name of the Lease under which CRDs are written: they belong to all meshes of a cluster."""

DISTRIBUTION_LABEL: Final = f"{GROUP}/distribution"
"""Label on a CRD of a mesh: the distribution that it came with."""

OWNER_LABEL: Final = f"{GROUP}/owner"
"""Label on a stored Helm revision: <uid>.<revision> of the MeshUpgrade that made it."""

ORPHANED_BY: Final = f"{GROUP}/orphaned-by"
"""Label on a ReplicaSet that serves while its Deployment is replaced: the uid of the MeshUpgrade that does it."""

PLAN_OF: Final = f"{GROUP}/plan-of"
"""Label on a Secret with the plan of a MeshUpgrade: its uid."""

APPROVED_PLAN: Final = f"{GROUP}/approved-plan"
"""Annotation on a MeshUpgrade: the digest of the plan that may be carried out."""

ROLLBACK_REQUESTED: Final = f"{GROUP}/rollback-requested"
"""Annotation on a MeshUpgrade: the verified revision to roll back to, once."""

RESTARTED_FOR: Final = f"{GROUP}/restarted-for"
"""Annotation on a Pod template: what its workload was restarted for. Ours alone, so that nobody else undoes it."""

RESTARTED_AT: Final = f"{GROUP}/restarted-at"
"""Annotation beside that one: when, so that Pods that are replaced one by one can be told from those of before."""

RESTART: Final = f"{GROUP}/restart"
"""Annotation on a workload or a namespace: Never keeps the operator from restarting it."""

SNAPSHOT_OF: Final = f"{GROUP}/snapshot-of"
"""Label on a Secret with the MeshConfig as it was before a patch: the uid of the MeshUpgrade."""

ADDON_IMAGE: Final = f"{GROUP}/addon-image"
"""Annotation on the Deployment of an addon: for which revision of the release the operator set which image."""

EXPORT_OF: Final = f"{GROUP}/export-of"
"""Label on a Secret with custom resources of a CRD that changes its scope: a digest of the CRD's name."""

EXPORT_SET: Final = f"{GROUP}/export-set"
"""Label on such a Secret: the export that it is a part of."""

EXPORT_PART: Final = f"{GROUP}/export-part"
"""Label on such a Secret: manifest, or the number of the part."""

EXPORT_STAGE: Final = f"{GROUP}/export-stage"
"""Annotation on the manifest of an export: how far the change of scope has come."""

FORMER_NAMESPACE: Final = f"{GROUP}/former-namespace"
"""Annotation on a custom resource that became cluster-scoped: where it was, and where it goes back to."""


def owner_value(uid: str, revision: int) -> str:
    """Give the value of the owner label.

    It names the revision, since Helm hands labels on from one revision to the next, whoever makes it.
    """
    return f"{uid}.{revision}"
