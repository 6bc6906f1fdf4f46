"""Phase 5, Storage: stored objects rewritten in the version that the release stores, page by page."""

from meshupgrade.phases.storage.early import free_dropped_versions
from meshupgrade.phases.storage.phase import Storage

__all__ = ["Storage", "free_dropped_versions"]
