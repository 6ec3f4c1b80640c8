"""JSON files: one or several values after one another, with the same limits as YAML."""

from __future__ import annotations

import json
from typing import NoReturn

from gateway.resources.yamltree import MAX_DEPTH, Document, ManifestError

_BLANK = " \t\r\n"


def parse_json(text: str) -> list[Document]:
    """Parse every value of ``text``. Raises :class:`~gateway.resources.yamltree.ManifestError`.

    Refused: duplicate keys, ``NaN`` and infinities, nesting deeper than :data:`MAX_DEPTH`, lone surrogates.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
    documents: list[Document] = []
    position = _skip(text, 0)
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise ManifestError(f"is not JSON: {error.msg}", error.lineno) from error
        except RecursionError as error:
            raise ManifestError(f"is nested deeper than {MAX_DEPTH} levels", line) from error
        except ManifestError as error:
            raise ManifestError(str(error), line) from error
        except ValueError as error:
            raise ManifestError(f"is not JSON: {error}", line) from error
        _check(value, line)
        documents.append(Document(value, line))
        position = _skip(text, position)
    return documents


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANK:
        position += 1
    return position


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ManifestError(f"has the key {key[:80]!r} twice")
            seen.add(key)
    return result


def _constant(name: str) -> NoReturn:
    raise ManifestError(f"has the value {name}, which JSON does not have")


def _check(value: object, line: int) -> None:
    """Refuse deep nesting and strings that are no Unicode text; iterative, so depth cannot hurt here."""
    stack: list[tuple[object, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        match item:
            case str():
                if not item.isascii():
                    _check_text(item, line)
            case list() | dict():
                if depth >= MAX_DEPTH:
                    raise ManifestError(f"is nested deeper than {MAX_DEPTH} levels", line)
                stack.extend((child, depth + 1) for child in (item.values() if isinstance(item, dict) else item))
                if isinstance(item, dict):
                    stack.extend((key, depth + 1) for key in item)


def _check_text(text: str, line: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ManifestError("has a lone surrogate in a string", line) from error
