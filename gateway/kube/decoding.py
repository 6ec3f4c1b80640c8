"""JSON of the API server to plain data, whatever is in it.

The fast decoder refuses a whole text for one thing in it: more than 1024 levels, half of a surrogate pair, a byte that
is no UTF-8. The API server takes the first of them from anybody who may write an object with free fields, so that one
object would hide all others of its page or watch. Such a text is decoded slowly; what is wrong in it is left out, and
an object that was cut stays deeper than any that is read (:data:`gateway.resources.yamltree.MAX_DEPTH`).
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

KEPT_LEVELS = 200
"""Levels that are left of a deeper text: the page or event around an object needs three of them."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def decoded(text: bytes) -> Any:
    """Decode a text. Raises :class:`ValueError` for what is no JSON at all."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        lenient = json.loads(_shallow(text).decode(errors="replace"))
        return orjson.loads(json.dumps(lenient, ensure_ascii=False).encode(errors="replace"))


def _shallow(text: bytes) -> bytes:
    """The text with ``null`` for every object and list below :data:`KEPT_LEVELS`; it is not otherwise checked.

    Raises :class:`ValueError` for a text that ends down there.
    """
    parts: list[bytes] = []
    depth = begin = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
            if depth == KEPT_LEVELS + 1:
                parts.append(text[begin : match.start()])
        elif token in (b"}", b"]"):
            if depth == KEPT_LEVELS + 1:
                parts.append(b"null")
                begin = match.end()
            depth -= 1
    if depth > KEPT_LEVELS:
        raise ValueError("the text ends in the middle")
    return b"".join([*parts, text[begin:]])
