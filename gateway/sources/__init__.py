"""Where objects come from: folders of manifests, or the Kubernetes API."""

from gateway.sources.assembly import SourceState
from gateway.sources.directory import DirectorySource
from gateway.sources.source import Source
from gateway.sources.status import SourceStatus

__all__ = ["DirectorySource", "Source", "SourceState", "SourceStatus"]
