"""Texts of the API server that the fast decoder refuses as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.kube.decoding import KEPT_LEVELS, decoded
from gateway.resources.depth import is_deeper
from gateway.resources.yamltree import MAX_DEPTH


def nested(levels: int, kind: str) -> bytes:
    opening, closing = {"object": (b'{"a":', b"}"), "list": (b"[", b"]"), "both": (b'[{"a":', b"}]")}[kind]
    return opening * levels + b'"}]\\"["' + closing * levels


@pytest.mark.parametrize("kind", ["object", "list", "both"])
@pytest.mark.parametrize("levels", [1100, 100_000])
def test_what_is_nested_too_deep_is_cut_and_the_rest_is_there(kind: str, levels: int) -> None:
    text = b'{"items": [{"name": "a", "deep": ' + nested(levels, kind) + b'}, {"name": "b", "deep": []}]}'
    first, second = decoded(text)["items"]
    assert (first["name"], second) == ("a", {"name": "b", "deep": []})
    assert is_deeper(first, MAX_DEPTH)
    assert not is_deeper(first, KEPT_LEVELS)


@pytest.mark.parametrize("kind", ["object", "list", "both"])
def test_what_the_fast_decoder_takes_is_not_touched(kind: str) -> None:
    assert is_deeper(decoded(nested(400, kind)), 399)


@pytest.mark.parametrize(
    ("text", "value"),
    [(rb'["a\ud800b", "\u00e9"]', ["a?b", "é"]), (b'["a\xffb"]', ["a\ufffdb"])],
)
def test_texts_that_are_no_unicode_become_such(text: bytes, value: Any) -> None:
    assert decoded(text) == value


@pytest.mark.parametrize("text", [b"", b"{", b'{"a": NaN}', b"]" * 2000, b"[" * 2000, b"<html>"])
def test_what_is_no_json_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decoded(text)
