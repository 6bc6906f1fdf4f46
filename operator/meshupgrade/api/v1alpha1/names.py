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

DISTRIBUTION_LABEL: Final = f"{GROUP}/distribution"
"""Label on a CRD of a mesh: the distribution that it came with."""

OWNER_LABEL: Final = f"{GROUP}/owner"
"""Label on a stored Helm revision: <uid>.<revision> of the MeshUpgrade that made it."""
