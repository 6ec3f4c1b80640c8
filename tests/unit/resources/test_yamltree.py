"""YAML as kubectl reads it, within limits."""

import math
import time

import pytest

from gateway.resources.yamltree import MAX_ALIASED_NODES, ManifestError, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[
            pytest.param(word, True, id=f"{word} is true")
            for word in ("y", "Y", "yes", "Yes", "YES", "on", "ON", "True")
        ],
        *[pytest.param(word, False, id=f"{word} is false") for word in ("n", "N", "no", "No", "off", "OFF", "false")],
        *[pytest.param(word, word, id=f"{word} is text") for word in ("yEs", "oN", "t", "f", "null_", "x", ".")],
        *[pytest.param(word, None, id=f"{word or 'nothing'} is null") for word in ("~", "null", "NULL")],
        pytest.param("'yes'", "yes", id="quotes make text"),
        pytest.param('"8080"', "8080", id="quoted number"),
        pytest.param("0777", 0o777, id="octal"),
        pytest.param("0o17", 0o17, id="new octal"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("-0b11", -3, id="binary"),
        pytest.param("1_000", 1000, id="underscores"),
        pytest.param("089", 89.0, id="no octal digits"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param(".5", 0.5, id="fraction"),
        pytest.param("-.inf", -math.inf, id="infinity"),
        pytest.param("12:30:45", "12:30:45", id="base 60 is text"),
        pytest.param("2026-01-02", "2026-01-02", id="date is text"),
        pytest.param("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", id="time is text"),
        pytest.param("1.2.3.4", "1.2.3.4", id="address is text"),
        pytest.param("10.0.0.0/8", "10.0.0.0/8", id="range is text"),
        pytest.param("!!str 5", "5", id="tagged text"),
        pytest.param("!!int 5", 5, id="tagged integer"),
        pytest.param("!!float 5", 5.0, id="tagged float"),
        pytest.param("9" * 1000, "9" * 1000, id="a number too long to be one"),
        pytest.param("=", "=", id="value indicator of 1.1 is text"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    (document,) = parse_yaml(f"- {text}\n")
    assert document.value == [value]
    assert isinstance(document.value, list)
    assert type(document.value[0]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("on: 1", {"true": 1}, id="boolean key"),
        pytest.param("8080: a", {"8080": "a"}, id="number key"),
        pytest.param("~: a", {"null": "a"}, id="null key"),
        pytest.param("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}, id="alias"),
        pytest.param(
            "a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}, id="merge"
        ),
        pytest.param(
            "a: &x {b: 1}\ne: &y {b: 2}\nd: {<<: [*x, *y]}",
            {"a": {"b": 1}, "e": {"b": 2}, "d": {"b": 1}},
            id="merge list",
        ),
        pytest.param("'<<': 1", {"<<": 1}, id="quoted merge key is a key"),
        pytest.param("a: |\n  ---\n  b\n", {"a": "---\nb\n"}, id="marker in a block"),
    ],
)
def test_collections(text: str, value: object) -> None:
    (document,) = parse_yaml(text)
    assert document.value == value


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        pytest.param("a: 1\nb: 2\na: 3", "has the key 'a' twice", 3, id="duplicate key"),
        pytest.param("a: {yes: 1, true: 2}", "has the key 'true' twice", 1, id="duplicate after conversion"),
        pytest.param("{[a]: b}", "no scalar", 1, id="list as key"),
        pytest.param("a: !!python/object:os.system x", "not supported", 1, id="python tag"),
        pytest.param("a: !!set {b}", "not supported", 1, id="set"),
        pytest.param("a: !!int x", "is not a value for the tag !!int", 1, id="tag does not fit"),
        pytest.param("a: &x [*x]", "before its anchor is complete", 1, id="alias of itself"),
        pytest.param("a: *x", "is not YAML|alias", 1, id="unknown alias"),
        pytest.param("a: {<<: 5}", "names no mapping", 1, id="merge of a number"),
        pytest.param("[" * 101 + "]" * 101, "nested deeper than 100", 1, id="depth"),
        pytest.param("a: [", "is not YAML", 2, id="unfinished"),
        pytest.param("a: b: c", "is not YAML", 1, id="no mapping allowed"),
        pytest.param("a: \x00", "is not YAML", 0, id="NUL"),
        pytest.param("\ta: 1", "is not YAML", 1, id="tab"),
    ],
)
def test_refusals(text: str, message: str, line: int) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        parse_yaml(text)
    assert caught.value.line in (line, max(line - 1, 0))


def test_a_billion_laughs_are_refused_at_once() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    with pytest.raises(ManifestError, match=f"aliases for more than {MAX_ALIASED_NODES} values"):
        parse_yaml("\n".join(levels))
    assert time.monotonic() - started < 2


def test_aliases_do_not_hide_depth() -> None:
    text = "a: &a " + "[" * 60 + "]" * 60 + "\nb: " + "[" * 60 + "*a" + "]" * 60
    with pytest.raises(ManifestError, match="nested deeper"):
        parse_yaml(text)


def test_documents_have_lines_and_empty_ones_are_left_out() -> None:
    documents = parse_yaml("# top\n---\n# nothing\n---\na: 1\n---\n\n\nb: 2\n...\n---\nc: 3\n")
    assert [(document.value, document.line) for document in documents] == [({"a": 1}, 5), ({"b": 2}, 9), ({"c": 3}, 12)]
