"""What speaks to the Kubernetes API: paths, requests, lists, watches. Nothing here knows what objects mean."""

from gateway.kube.client import Access, KubeClient
from gateway.kube.failure import ApiFailure, Unreachable
from gateway.kube.paths import ResourcePath

__all__ = ["Access", "ApiFailure", "KubeClient", "ResourcePath", "Unreachable"]
