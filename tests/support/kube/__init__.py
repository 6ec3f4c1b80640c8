"""A Kubernetes without containers: the real API server and controllers, and pods that are processes."""
