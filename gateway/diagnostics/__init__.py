"""Located findings: what is wrong (or worth knowing), with which object, in which field, and what was expected."""

from gateway.diagnostics.collector import Collector
from gateway.diagnostics.model import Diagnostic, Origin, Severity

__all__ = ["Collector", "Diagnostic", "Origin", "Severity"]
