"""Texts for ``kubectl explain``, taken from the docstrings of the models."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import msgspec

_ROLE = re.compile(r":[a-z]+:`~?(?:[\w.]*\.)?(\w+)`")
_CODE = re.compile(r"``([^`]*)``")


def plain(docstring: str | None) -> str:
    """A docstring as plain text: one paragraph a line, marks of reStructuredText left out."""
    text = _ROLE.sub(r"\1", inspect.cleandoc(docstring or "")).replace("``None``", "not set")
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", _CODE.sub(r"\1", text)))
    return "\n".join(part for part in paragraphs if part)


@lru_cache(maxsize=256)
def field_texts(model: type[msgspec.Struct]) -> dict[str, str]:
    """Attribute to the string that stands below it; inherited attributes included. Empty where there is no source."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
        except (OSError, TypeError):
            continue
        (definition,) = tree.body
        if not isinstance(definition, ast.ClassDef):
            continue
        for above, below in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(above, ast.AnnAssign)
                and isinstance(above.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                texts[above.target.id] = plain(below.value.value)
    return texts
