"""Where objects come from: folders of manifests."""

from gateway.sources.assembly import SourceState
from gateway.sources.directory import DirectorySource

__all__ = ["DirectorySource", "SourceState"]
