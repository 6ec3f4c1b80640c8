"""``$NAME`` and ``${NAME}`` in manifests, which Emissary replaces by variables of its own environment.

Here nothing is replaced unless the operator names the variables that may be: whoever may write a Mapping could read the
rest of the gateway's environment otherwise. Texts are replaced one by one after parsing, so a value never becomes
syntax. A name that is not known stays as it stands (Python's ``os.path.expandvars``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Map

_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))", re.ASCII)
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


def expanded(value: object, variables: Map[str, str]) -> object:
    """A copy of plain data with references in its texts replaced; keys are left alone."""
    match value:
        case str() if "$" in value:
            return _REFERENCE.sub(lambda match: variables.get(match[1] or match[2], match[0]), value)
        case Map():
            return {key: expanded(item, variables) for key, item in value.items()}
        case list():
            return [expanded(item, variables) for item in value]
    return value


def references(value: object) -> set[str]:
    """Names in braces that texts refer to. ``$NAME`` is not looked for: it stands in regular expressions, too."""
    names: set[str] = set()
    _collect(value, names)
    return names


def _collect(value: object, names: set[str]) -> None:
    # Every object of a cluster comes through here: plain types, and nothing else is made on the way.
    if isinstance(value, str):
        if "${" in value:
            names.update(_BRACED.findall(value))
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, names)
    elif isinstance(value, list):
        for item in value:
            _collect(item, names)
