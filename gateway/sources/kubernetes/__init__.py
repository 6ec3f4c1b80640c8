"""Objects from the Kubernetes API, followed live."""

from gateway.sources.kubernetes.source import KubernetesSource

__all__ = ["KubernetesSource"]
