"""Splitting YAML and reading JSON."""

import pytest

from gateway.resources.yamltree import ManifestError
from gateway.sources.jsonstream import parse_json
from gateway.sources.yamlstream import split_documents


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        pytest.param(b"a: 1\n", [(b"a: 1\n", 1)], id="one without marker"),
        pytest.param(b"---\na: 1\n---\nb: 2\n", [(b"---\na: 1\n", 1), (b"---\nb: 2\n", 3)], id="two"),
        pytest.param(b"# c\n\n---\na: 1\n", [(b"---\na: 1\n", 3)], id="comment before"),
        pytest.param(b"%YAML 1.1\n---\na: 1\n", [(b"---\na: 1\n", 2)], id="directive before"),
        pytest.param(b"---\n---\n# c\n--- # d\n", [], id="nothing but markers"),
        pytest.param(b"--- {a: 1}\n--- b\n", [(b"--- {a: 1}\n", 1), (b"--- b\n", 2)], id="content on the marker line"),
        pytest.param(b"a: |\n  x\n ---\n---x: 1\n", [(b"a: |\n  x\n ---\n---x: 1\n", 1)], id="no marker"),
        pytest.param(
            b"a: 1\r\n---\r\nb: 2\r\n", [(b"a: 1\r\n", 1), (b"---\r\nb: 2\r\n", 2)], id="line ends of Windows"
        ),
        pytest.param(b"", [], id="empty"),
        pytest.param(b"a: 1\n---", [(b"a: 1\n", 1)], id="marker at the end"),
    ],
)
def test_splitting(content: bytes, pieces: list[tuple[bytes, int]]) -> None:
    assert [(piece.text, piece.line) for piece in split_documents(content)] == pieces


def test_json_values_after_one_another() -> None:
    assert [(item.value, item.line) for item in parse_json(' {"a": [1, null]}\n\n{"b": "é"}\n')] == [
        ({"a": [1, None]}, 1),
        ({"b": "é"}, 3),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"a": 1, "a": 2}', "has the key 'a' twice", id="duplicate key"),
        pytest.param('{"a": NaN}', "NaN", id="NaN"),
        pytest.param("[" * 200 + "]" * 200, "nested deeper", id="deep"),
        pytest.param("[" * 100_000, "nested deeper", id="very deep"),
        pytest.param('{"a": "\\ud800"}', "lone surrogate", id="surrogate"),
        pytest.param('{"\\ud800": 1}', "lone surrogate", id="surrogate in a key"),
        pytest.param('{"a": ', "is not JSON", id="unfinished"),
        pytest.param("9" * 5000, "is not JSON", id="long number"),
        pytest.param("a: 1", "is not JSON", id="YAML"),
    ],
)
def test_json_refusals(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_json(text)
