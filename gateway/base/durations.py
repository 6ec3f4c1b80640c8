"""Durations: the text form of Go (``time.ParseDuration``) and plain millisecond numbers."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_NANOSECONDS = {
    "ns": Decimal(1),
    "us": Decimal(1_000),
    "\u00b5s": Decimal(1_000),  # micro sign
    "\u03bcs": Decimal(1_000),  # Greek letter mu
    "ms": Decimal(1_000_000),
    "s": Decimal(1_000_000_000),
    "m": Decimal(60_000_000_000),
    "h": Decimal(3_600_000_000_000),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_MAX_NANOSECONDS = 2**63 - 1
_MAX_TEXT = 64


class DurationError(ValueError):
    """The text is not a duration; the message says what was expected."""


def parse_duration_ms(text: str) -> int:
    """Return the milliseconds of a Go duration such as ``15s``, ``1m30s`` or ``1.5h``.

    The grammar is that of ``time.ParseDuration``: a sequence of decimal numbers, each with a unit; only ``0`` goes
    without. Fractions of a millisecond are rounded up, so that a positive duration never becomes zero, which
    means "off" in many fields. Negative durations are refused, because no field of the gateway accepts one.
    """
    body = text.removeprefix("+")
    if body == "0":
        return 0
    if not body or len(body) > _MAX_TEXT:
        raise DurationError(_expected(text))
    total = Decimal(0)
    position = 0
    while position < len(body):
        part = _PART.match(body, position)
        if part is None:
            raise DurationError(_expected(text))
        total += Decimal(part[1]) * _NANOSECONDS[part[2]]
        position = part.end()
    if total > _MAX_NANOSECONDS:
        raise DurationError(f"{text!r} is longer than 292 years")
    return math.ceil(total / 1_000_000)


def format_duration(milliseconds: int) -> str:
    """Return the Go form of a non-negative number of milliseconds: ``90000`` becomes ``1m30s``."""
    if milliseconds == 0:
        return "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, thousandths = divmod(rest, 1000)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    if seconds and thousandths:
        return text + f"{seconds}.{thousandths:03}".rstrip("0") + "s"
    return text + (f"{seconds}s" if seconds else "") + (f"{thousandths}ms" if thousandths else "")


def _expected(text: str) -> str:
    return f"{text[:_MAX_TEXT]!r} is not a duration; expected a number with a unit, such as 500ms, 15s or 1m30s"
