"""Mutations of chunked bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.protocol.corpus.mutations import CONTROL, Mutation, Variant, show
from tests.protocol.corpus.payload import CHUNKED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


def chunk_size(random: Random) -> Iterator[Variant]:
    sizes = [
        b"0x5",
        b"+5",
        b"-5",
        b"5_",
        b"",
        b" 5",
        b"5 ",
        b"5\t",
        b"5 ;",
        b"5,",
        b"5\x00",
        b"5.0",
        b"g",
        b"5h",
        b"5:",
        b"$5",
    ]
    sizes += [b"0" * 20 + b"5", b"100000000000000005", b"ffffffffffffffff5", b"fffffffffffffffb", b"8000000000000005"]
    sizes += [bytes(random.choices(b"0123456789abcdefxXgG+-_ ", k=random.randint(2, 5))) for _ in range(25)]
    for size in sizes:
        if size.strip() != size or len(size) > 16 or not size or not set(size) <= set(b"0123456789abcdefABCDEF"):
            yield show(size), replace(CHUNKED, body=size + b"\r\nhello\r\n0\r\n\r\n").render()


def chunk_leading_zeros(_random: Random) -> Iterator[Variant]:
    for size in (b"05", b"0005", b"000000000005"):
        yield show(size), replace(CHUNKED, body=size + b"\r\nhello\r\n000\r\n\r\n").render()


def chunk_line_end(_random: Random) -> Iterator[Variant]:
    for end in (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\rX", b"XX", b"", b"\x0b\n"):
        name = show(end)
        yield f"size-{name}", replace(CHUNKED, body=b"5" + end + b"hello\r\n0\r\n\r\n").render()
        yield f"data-{name}", replace(CHUNKED, body=b"5\r\nhello" + end + b"0\r\n\r\n").render()
        yield f"last-{name}", replace(CHUNKED, body=b"5\r\nhello\r\n0" + end + b"\r\n").render()
        yield f"end-{name}", replace(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + (end or b"X")).render()


def chunk_extension(_random: Random) -> Iterator[Variant]:
    for extension in (b";a", b";a=b", b';a="b"', b';a="b;c"', b"; a = b", b";", b";;", b" ;a"):
        yield show(extension), replace(CHUNKED, body=b"5" + extension + b"\r\nhello\r\n0\r\n\r\n").render()


def chunk_extension_control(_random: Random) -> Iterator[Variant]:
    for byte in (*CONTROL, 0x0A, 0x0D):
        yield f"{byte:#04x}", replace(CHUNKED, body=b"5;a=%cb\r\nhello\r\n0\r\n\r\n" % byte).render()


def trailer_syntax(_random: Random) -> Iterator[Variant]:
    for trailer in (b"A : b", b"A", b": b", b" A: b", b"A: b\x00c", b"A: b\rc", b"A b: c", b"\x80: b"):
        yield show(trailer), replace(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n").render()


ALL: tuple[Mutation, ...] = (
    chunk_size,
    chunk_leading_zeros,
    chunk_line_end,
    chunk_extension,
    chunk_extension_control,
    trailer_syntax,
)
