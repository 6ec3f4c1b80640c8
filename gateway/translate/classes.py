"""Which Ingresses are ours, and in which dialect.

Source of the rules: the Kubernetes documentation of Ingress ("Ingress class", "Default IngressClass") and Emissary's
``fetch/ingress.py`` (features.md 1.4): the class ``ambassador`` in the annotation, or an IngressClass whose controller
is Emissary's, means Emissary's semantics (the prefix is stripped); our own controller means plain Kubernetes semantics.
Of Emissary's, Ingress and IngressClass must both be for this instance (annotation ``getambassador.io/ambassador-id``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.resources import Ingress, IngressClass
from gateway.resources.model import DEFAULT_AMBASSADOR_ID
from gateway.resources.networking import CLASS_ANNOTATION

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import ResourceSet
    from gateway.translate.settings import TranslateSettings

EMISSARY_CONTROLLER = "getambassador.io/ingress-controller"
CONTROLLER = "sluice.dev/ingress-controller"
EMISSARY_CLASS = "ambassador"
ID_ANNOTATION = "getambassador.io/ambassador-id"


@dataclass(frozen=True, slots=True)
class Classified:
    """Ingresses by dialect, in the order of namespace and name."""

    plain: tuple[Ingress, ...]
    emissary: tuple[Ingress, ...]


def classify(resources: ResourceSet, settings: TranslateSettings, found: Collector) -> Classified:
    """Sort out the Ingresses; those of other controllers and instances are left alone."""
    classes = [item for item in resources.of(IngressClass) if _is_ours(item, _controller_of(item), settings)]
    controllers = {item.name: _controller_of(item) for item in classes}
    default = next((_controller_of(item) for item in classes if item.is_default), None)
    plain: list[Ingress] = []
    emissary: list[Ingress] = []
    for ingress in resources.of(Ingress):
        controller = _controller(ingress, controllers, default, settings)
        if controller == EMISSARY_CONTROLLER:
            if _is_ours(ingress, controller, settings):
                emissary.append(ingress)
            else:
                message = f"belongs to another ambassador-id than {settings.ambassador_id}"
                found.notice("ambassador-id-other", message, ingress.origin, "metadata.annotations")
        elif controller == CONTROLLER:
            plain.append(ingress)
    return Classified(tuple(plain), tuple(emissary))


def _controller_of(item: IngressClass) -> str:
    """Emissary compares the name of its controller without case."""
    name = item.spec.controller
    return EMISSARY_CONTROLLER if name.lower() == EMISSARY_CONTROLLER else name


def _is_ours(item: Ingress | IngressClass, controller: str, settings: TranslateSettings) -> bool:
    own = item.metadata.annotations.get(ID_ANNOTATION, DEFAULT_AMBASSADOR_ID)
    return controller != EMISSARY_CONTROLLER or own == settings.ambassador_id


def _controller(
    ingress: Ingress, controllers: dict[str, str], default: str | None, settings: TranslateSettings
) -> str | None:
    annotation = ingress.metadata.annotations.get(CLASS_ANNOTATION, "")
    if annotation.lower() == EMISSARY_CLASS:
        return EMISSARY_CONTROLLER
    name = annotation or ingress.spec.ingress_class_name
    if not name:
        return default or (CONTROLLER if settings.unclassified_ingress else None)
    return controllers.get(name) or (CONTROLLER if name in settings.ingress_classes else None)
