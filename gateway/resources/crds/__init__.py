"""CustomResourceDefinitions of getambassador.io, generated from the typed models."""

from gateway.resources.crds.definitions import definition, definitions, render

__all__ = ["definition", "definitions", "render"]
