"""Host globs."""

import pytest

from gateway.base.globs import glob_matches, globs_intersect, is_glob, narrower


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("*", "a.example.com", True),
        ("a.example.com", "A.Example.COM", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("www.*", "www.example.com", True),
        ("www.*", "www.", False),
        ("a.example.com", "b.example.com", False),
    ],
)
def test_matching(pattern: str, host: str, expected: bool) -> None:
    assert glob_matches(pattern, host) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("*", "a.x", True, id="everything"),
        pytest.param("a.x", "A.X", True, id="same name in another case"),
        pytest.param("a.x", "b.x", False, id="different names"),
        pytest.param("*.x", "a.x", True, id="suffix and name"),
        pytest.param("*.x", "x", False, id="star is not empty"),
        pytest.param("*.x", "*.a.x", True, id="nested suffixes"),
        pytest.param("*.b.x", "*.a.x", False, id="separate suffixes"),
        pytest.param("a.*", "a.b.*", True, id="nested prefixes"),
        pytest.param("a.*", "b.*", False, id="separate prefixes"),
        pytest.param("*.x", "a.*", True, id="suffix and prefix"),
        pytest.param("*a*", "*a*", True, id="malformed equals itself"),
        pytest.param("*a*", "xay", False, id="malformed matches nothing"),
    ],
)
def test_intersection(first: str, second: str, expected: bool) -> None:
    assert globs_intersect(first, second) is expected
    assert globs_intersect(second, first) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("*", "a.x", "a.x"), ("*.x", "*.a.x", "*.a.x"), ("a.*", "*.x", None), ("a.x", "b.x", None), ("a.*", "a.b", "a.b")],
)
def test_the_narrower_of_two(first: str, second: str, expected: str | None) -> None:
    assert narrower(first, second) == expected
    assert narrower(second, first) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", True),
        ("a", True),
        ("*.a", True),
        ("a.*", True),
        ("a*b", False),
        ("*a*", False),
        ("**", False),
        ("", False),
    ],
)
def test_form(pattern: str, expected: bool) -> None:
    assert is_glob(pattern) is expected
