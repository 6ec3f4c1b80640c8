"""From typed objects to the IR: one package per dialect, pure functions with a memory.

``translate(resources, settings, memo)`` is the whole interface. Packages: ``ambassador`` (getambassador.io),
``ingress`` (networking.k8s.io/v1); the modules beside them are what dialects share.
"""

from gateway.translate.memo import Memo
from gateway.translate.pipeline import Translation, translate
from gateway.translate.settings import TranslateSettings

__all__ = ["Memo", "TranslateSettings", "Translation", "translate"]
