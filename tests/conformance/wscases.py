"""Cases in the order of the Autobahn test suite (https://github.com/crossbario/autobahn-testsuite): what a client
sends, and what a server that keeps to RFC 6455 makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOL_ERROR, NOT_UTF8 = 1002, 1007


@dataclass(frozen=True, slots=True)
class Case:
    """``expected`` are opcode and payload of frames before the close frame. ``code`` is what that has to say; None: no
    code. A case that the client does not close itself is closed by it with 1000."""

    name: str
    pieces: tuple[bytes, ...]
    expected: tuple[tuple[int, bytes], ...] = ()
    code: int | None = 1000


def octets(data: bytes, size: int = 1) -> tuple[bytes, ...]:
    return tuple(data[start : start + size] for start in range(0, len(data), size))


def fragments(opcode: int, payload: bytes, size: int) -> tuple[bytes, ...]:
    """One message in frames of ``size`` bytes."""
    parts = octets(payload, size)
    return tuple(frame(CONTINUATION if n else opcode, part, fin=n == len(parts) - 1) for n, part in enumerate(parts))


def cases() -> Iterator[Case]:
    bye = close(1000)
    yield from _framing(bye)
    yield from _control(bye)
    yield from _reserved()
    yield from _fragmentation(bye)
    yield from _utf8(bye)
    yield from _closing()
    yield from _large(bye)


def _framing(bye: bytes) -> Iterator[Case]:
    """Groups 1.1 and 1.2: text and binary of the lengths at which the header changes."""
    for opcode, name in ((TEXT, "text"), (BINARY, "binary")):
        for length in (0, 125, 126, 127, 128, 65_535, 65_536):
            payload = b"*" * length
            yield Case(f"1-{name}-{length}", (frame(opcode, payload), bye), ((opcode, payload),))
        payload = b"*" * 65_536
        yield Case(f"1-{name}-chopped", (*octets(frame(opcode, payload), 997), bye), ((opcode, payload),))


def _control(bye: bytes) -> Iterator[Case]:
    """Group 2: pings and pongs."""
    for length in (0, 5, 125):
        payload = bytes(range(130, 130 + length)) if length < 126 else b""
        yield Case(f"2-ping-{length}", (frame(PING, payload), bye), ((PONG, payload),))
    yield Case("2-ping-too-long", (frame(PING, b"*" * 126),), code=PROTOCOL_ERROR)
    yield Case("2-ping-by-octets", (*octets(frame(PING, b"*" * 125)), bye), ((PONG, b"*" * 125),))
    yield Case("2-pong-unasked", (frame(PONG, b"unasked"), bye))
    yield Case("2-pong-then-ping", (frame(PONG, b"x"), frame(PING, b"y"), bye), ((PONG, b"y"),))
    ten = [b"payload-%d" % n for n in range(10)]
    pongs = tuple((PONG, payload) for payload in ten)
    yield Case("2-ten-pings", (*(frame(PING, payload) for payload in ten), bye), pongs)
    yield Case("2-ten-pings-by-octets", (*octets(b"".join(frame(PING, payload) for payload in ten)), bye), pongs)


def _reserved() -> Iterator[Case]:
    """Groups 3 and 4: reserved bits and opcodes end the connection, at once and after good messages."""
    for bits in range(1, 8):
        pieces = (frame(TEXT, b"first"), frame(TEXT, b"bad", reserved=bits), frame(PING))
        yield Case(f"3-bits-{bits}", pieces, ((TEXT, b"first"),), PROTOCOL_ERROR)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        pieces = (frame(TEXT, b"first"), frame(opcode, b"bad"), frame(PING))
        yield Case(f"4-opcode-{opcode}", pieces, ((TEXT, b"first"),), PROTOCOL_ERROR)


def _fragmentation(bye: bytes) -> Iterator[Case]:
    """Group 5: messages in several frames, control frames among them."""
    first, last = frame(TEXT, b"one", fin=False), frame(CONTINUATION, b"two")
    whole = (TEXT, b"onetwo")
    yield Case("5-two-frames", (first, last, bye), (whole,))
    yield Case("5-two-frames-by-octets", (*octets(first + last), bye), (whole,))
    yield Case("5-ping-inside", (first, frame(PING, b"in"), last, bye), ((PONG, b"in"), whole))
    yield Case("5-ping-inside-by-octets", (*octets(first + frame(PING, b"in") + last), bye), ((PONG, b"in"), whole))
    middle = frame(CONTINUATION, b"-", fin=False)
    many = (first, *[middle, frame(PING, b"in")] * 20, last, bye)
    yield Case("5-many-pings-inside", many, (*[(PONG, b"in")] * 20, (TEXT, b"one" + b"-" * 20 + b"two")))
    nothing = frame(CONTINUATION, b"", fin=False)
    yield Case("5-empty-frames", (frame(TEXT, b"", fin=False), nothing, frame(CONTINUATION), bye), ((TEXT, b""),))
    yield Case("5-ping-in-fragments", (frame(PING, b"a", fin=False), frame(CONTINUATION, b"b")), code=PROTOCOL_ERROR)
    yield Case("5-continuation-of-nothing", (frame(CONTINUATION, b"x"),), code=PROTOCOL_ERROR)
    yield Case("5-continuation-afterwards", (first, last, last), (whole,), PROTOCOL_ERROR)
    yield Case("5-text-inside-text", (first, frame(TEXT, b"x")), code=PROTOCOL_ERROR)
    yield Case("5-closed-inside", (first, bye))


def _utf8(bye: bytes) -> Iterator[Case]:
    """Group 6: text is UTF-8 as a whole, wherever it is cut."""
    good = "Hello-µ@ßöäüàá-UTF-8!!, κόσμε, \U0001f4a9, \uffff, \U0010ffff".encode()
    yield Case("6-text", (frame(TEXT, good), bye), ((TEXT, good),))
    yield Case("6-text-cut-anywhere", (*fragments(TEXT, good, 1), bye), ((TEXT, good),))
    yield Case("6-text-by-octets", (*octets(b"".join(fragments(TEXT, good, 1))), bye), ((TEXT, good),))
    for name, bad in (
        ("surrogate", b"\xed\xa0\x80"),
        ("beyond-unicode", b"\xf4\x90\x80\x80"),
        ("overlong", b"\xc0\xaf"),
        ("lone-continuation", b"\x80"),
        ("cut-short", b"\xce\xba\xe1\xbd"),
        ("no-utf-8", b"\xfe\xff"),
    ):
        yield Case(f"6-{name}", (frame(TEXT, b"ok" + bad),), code=NOT_UTF8)
    yield Case("6-surrogate-in-fragments", fragments(TEXT, b"ok\xed\xa0\x80", 1), code=NOT_UTF8)
    yield Case("6-binary-is-not-text", (frame(BINARY, b"\xfe\xff"), bye), ((BINARY, b"\xfe\xff"),))


def _closing() -> Iterator[Case]:
    """Group 7: the closing handshake, its codes and its reasons."""
    yield Case("7-no-code", (close(),), code=None)
    yield Case("7-one-octet", (frame(CLOSE, b"\x03"),), code=PROTOCOL_ERROR)
    yield Case("7-longest-reason", (close(1000, b"*" * 123),))
    yield Case("7-reason-too-long", (close(1000, b"*" * 124),), code=PROTOCOL_ERROR)
    yield Case("7-reason-not-utf-8", (close(1000, b"\xce\xba\xe1\xbd"),), code=NOT_UTF8)
    yield Case("7-text-afterwards", (close(1000), frame(TEXT, b"late")))
    yield Case("7-ping-afterwards", (close(1000), frame(PING, b"late")))
    yield Case("7-by-octets", octets(close(1000, b"good bye")))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"7-code-{code}", (close(code),), code=code)
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999):
        yield Case(f"7-bad-code-{code}", (close(code),), code=PROTOCOL_ERROR)
    yield Case("7-unmasked-frame", (frame(TEXT, b"plain", masked=False),), code=PROTOCOL_ERROR)


def _large(bye: bytes) -> Iterator[Case]:
    """Groups 9 and 10: long messages, in one frame, in many, and in pieces of other sizes than the frames."""
    for opcode, name in ((TEXT, "text"), (BINARY, "binary")):
        for size in (65_536, 1 << 20, 4 << 20):
            payload = b"0123456789abcdef" * (size // 16)
            yield Case(f"9-{name}-{size}", (frame(opcode, payload), bye), ((opcode, payload),))
        payload = b"0123456789abcdef" * (1 << 16)
        for size in (4096, 65_536):
            pieces = fragments(opcode, payload, size)
            yield Case(f"9-{name}-in-frames-of-{size}", (*pieces, bye), ((opcode, payload),))
        pieces = octets(frame(opcode, payload), 1300)
        yield Case(f"9-{name}-in-pieces-of-1300", (*pieces, bye), ((opcode, payload),))
    small = (BINARY, b"*" * 64)
    yield Case("9-a-thousand-messages", (*[frame(*small)] * 1000, bye), (small,) * 1000)
