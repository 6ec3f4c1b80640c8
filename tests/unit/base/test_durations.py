"""Go durations."""

import pytest

from gateway.base.durations import DurationError, format_duration, parse_duration_ms


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        pytest.param("0", 0, id="bare zero"),
        pytest.param("15s", 15_000, id="seconds"),
        pytest.param("1m30s", 90_000, id="minutes and seconds"),
        pytest.param("1.5h", 5_400_000, id="fraction"),
        pytest.param(".5s", 500, id="no leading digit"),
        pytest.param("250ms", 250, id="milliseconds"),
        pytest.param("1us", 1, id="rounded up, not to zero"),
        pytest.param("1\u00b5s", 1, id="micro sign"),
        pytest.param("+2s", 2_000, id="plus sign"),
        pytest.param("1h1m1s1ms", 3_661_001, id="all units"),
    ],
)
def test_durations_of_go(text: str, milliseconds: int) -> None:
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "15", "s", "-1s", "1 s", "1d", "1s1", "1..s", "1e3s", "9" * 50 + "h", "1" * 100])
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(DurationError):
        parse_duration_ms(text)


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 3_661_001, 86_400_000])
def test_the_text_form_reads_back(milliseconds: int) -> None:
    assert parse_duration_ms(format_duration(milliseconds)) == milliseconds
