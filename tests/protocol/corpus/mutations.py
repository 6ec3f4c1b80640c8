"""Mutations of framing fields.

Each function is a class of rule, by its name, and yields (detail, bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from random import Random

from tests.protocol.corpus.payload import CHUNKED, CHUNKED_BODY, LENGTH, PLAIN_BODY, Draft

Variant = tuple[str, bytes]
Mutation = Callable[[Random], Iterator[Variant]]
CONTROL = [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F]
GET = Draft(method=b"GET")


def show(data: bytes) -> str:
    """Bytes as a short readable name."""
    text = repr(data)[2:-1]
    return text if len(text) <= 40 else f"{text[:30]}...{len(data)}"


def _length(value: bytes, body: bytes = PLAIN_BODY) -> bytes:
    return replace(Draft().with_fields((b"Content-Length", value)), body=body).render()


def _coding(value: bytes, name: bytes = b"Transfer-Encoding") -> bytes:
    return replace(Draft().with_fields((name, value)), body=CHUNKED_BODY).render()


def well_formed(random: Random) -> Iterator[Variant]:
    yield "get", GET.render()
    yield "length", replace(LENGTH, body=PLAIN_BODY).render()
    yield "chunked", replace(CHUNKED, body=CHUNKED_BODY).render()
    yield "absolute-form", replace(GET, target=b"http://site.example/corpus").render()
    for number in range(12):
        name = bytes(random.choices(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-0123456789", k=random.randint(1, 20)))
        value = bytes(random.choices(range(0x21, 0x7F), k=random.randint(0, 60)))
        yield f"random-field-{number}", GET.with_fields((b"X-" + name, value)).render()
    for number in range(8):
        size = random.randint(1, 200)
        body = bytes(random.choices(range(256), k=size))
        yield f"random-body-{number}", _length(b"%d" % size, body)
        yield f"random-chunk-{number}", replace(CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)).render()


def length_syntax(random: Random) -> Iterator[Variant]:
    values = [
        b"+5",
        b"-5",
        b"-0",
        b"0x5",
        b"5_",
        b"0_5",
        b"5 5",
        b"",
        b"5.0",
        b"5e0",
        b"5;",
        b'"5"',
        b"five",
        b"\xb2",
        b"0b101",
    ]
    values += [
        b"18446744073709551616",
        b"18446744073709551621",
        b"9223372036854775808",
        b"4294967301" * 4,
        b"5\x00",
        b"5\x0b",
    ]
    values += [bytes(random.choices(b"0123456789+-_xabc .", k=random.randint(2, 6))) for _ in range(20)]
    for value in values:
        if not value.strip().isdigit():
            yield show(value), _length(value)
    for value in (b"18446744073709551616", b"18446744073709551621", b"4294967301" * 4):
        yield show(value), _length(value)


def length_leading_zero(_random: Random) -> Iterator[Variant]:
    for value in (b"05", b"005", b"0000000005"):
        yield show(value), _length(value)


def length_repeated_equal(_random: Random) -> Iterator[Variant]:
    for values in ((b"5", b"5"), (b"5", b"5", b"5"), (b"5, 5",), (b"5,5",)):
        fields = tuple((b"Content-Length", value) for value in values)
        yield show(b"|".join(values)), replace(Draft().with_fields(*fields), body=PLAIN_BODY).render()


def length_repeated_different(_random: Random) -> Iterator[Variant]:
    pairs = [
        (b"5", b"6"),
        (b"6", b"5"),
        (b"5", b"0"),
        (b"0", b"5"),
        (b"5", b""),
        (b"", b"5"),
        (b"5, 6",),
        (b"5,",),
        (b",5",),
    ]
    for values in pairs:
        fields = tuple((b"Content-Length", value) for value in values)
        yield show(b"|".join(values)), replace(Draft().with_fields(*fields), body=PLAIN_BODY).render()


def length_and_coding(_random: Random) -> Iterator[Variant]:
    for length, order, coding in product((b"5", b"15", b"0"), (0, 1), (b"chunked", b"Chunked", b"identity")):
        fields = ((b"Content-Length", length), (b"Transfer-Encoding", coding))
        ordered = fields if order == 0 else fields[::-1]
        yield (
            f"{show(length)}-{order}-{show(coding)}",
            replace(Draft().with_fields(*ordered), body=CHUNKED_BODY).render(),
        )


def coding_value(random: Random) -> Iterator[Variant]:
    values = [
        b",chunked",
        b"chunked,",
        b"xchunked",
        b"chunkedx",
        b"chunked, identity",
        b"identity, chunked",
        b"identity",
        b"gzip",
    ]
    values += [
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"chunked;q=1",
        b'"chunked"',
        b"'chunked'",
        b"",
        b"chun ked",
    ]
    values += [
        b"\x0bchunked",
        b"\x0cchunked",
        b"chunked\x00",
        b"\xa0chunked",
        b"chunked\x0b",
        b"x, chunked",
        b"chunked x",
        b"[chunked]",
    ]
    for _ in range(16):
        spoiled = bytearray(b"chunked")
        spoiled[random.randrange(7)] = random.choice(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
        if bytes(spoiled) != b"chunked":
            values.append(bytes(spoiled))
    for value in values:
        yield show(value), _coding(value)


def coding_case(_random: Random) -> Iterator[Variant]:
    for value in (b"Chunked", b"CHUNKED", b"cHuNkEd"):
        yield show(value), _coding(value)


def coding_repeated(_random: Random) -> Iterator[Variant]:
    for first, second in product((b"chunked", b"identity", b"x"), repeat=2):
        fields = ((b"Transfer-Encoding", first), (b"Transfer-Encoding", second))
        yield f"{show(first)}|{show(second)}", replace(Draft().with_fields(*fields), body=CHUNKED_BODY).render()


def coding_in_http_1_0(_random: Random) -> Iterator[Variant]:
    for value in (b"chunked", b"identity"):
        yield (
            show(value),
            replace(Draft(version=b"HTTP/1.0").with_fields((b"Transfer-Encoding", value)), body=CHUNKED_BODY).render(),
        )


def name_with_underscore(_random: Random) -> Iterator[Variant]:
    for name in (b"X_Auth_User", b"Content_Length", b"Transfer_Encoding", b"_"):
        yield show(name), GET.with_fields((name, b"5")).render()


ALL: tuple[Mutation, ...] = (
    well_formed,
    length_syntax,
    length_leading_zero,
    length_repeated_equal,
    length_repeated_different,
    length_and_coding,
    coding_value,
    coding_case,
    coding_repeated,
    coding_in_http_1_0,
    name_with_underscore,
)
