"""Where objects come from: folders of manifests."""

from gateway.sources.directory import DirectorySource
from gateway.sources.loader import SourceState

__all__ = ["DirectorySource", "SourceState"]
