"""Mutations of the request line and of field syntax."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.protocol.corpus.mutations import CONTROL, GET, Mutation, Variant, show
from tests.protocol.corpus.payload import LENGTH, PLAIN_BODY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


def line_end(_random: Random) -> Iterator[Variant]:
    for end in (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x0b\r\n"):
        yield f"all-{show(end)}", replace(GET, line_end=end, head_end=end).render()
        yield f"lines-{show(end)}", replace(GET, line_end=end).render()
        yield f"last-{show(end)}", replace(GET, head_end=end).render() + (b"" if b"\n" in end else b"\r\n")


def line_end_in_value(_random: Random) -> Iterator[Variant]:
    for end in (b"\n", b"\r", b"\rX", b"\r\r\n", b"\nX-B: c\r"):
        yield show(end), GET.with_fields((b"X-A", b"b" + end + b"X-C: d")).render()


def control_in_value(_random: Random) -> Iterator[Variant]:
    for byte in CONTROL:
        yield f"{byte:#04x}", GET.with_fields((b"X-A", b"b%cc" % byte)).render()


def obs_text_in_value(random: Random) -> Iterator[Variant]:
    for byte in random.sample(range(0x80, 0x100), 8):
        yield f"{byte:#04x}", GET.with_fields((b"X-A", b"b%cc" % byte)).render()


def name_syntax(random: Random) -> Iterator[Variant]:
    for byte in [*CONTROL[:12], 0x09, *b'"(),/;<=>?@[\\]{}', *random.sample(range(0x80, 0x100), 8)]:
        yield f"{byte:#04x}", GET.with_fields((b"X%cA" % byte, b"b")).render()
    yield "empty", GET.with_fields((b"", b"b")).render()
    yield "inner-space", GET.with_fields((b"X A", b"b")).render()


def space_before_colon(_random: Random) -> Iterator[Variant]:
    for colon in (b" : ", b"\t: ", b"  :"):
        yield show(colon), replace(GET, colon=colon).render()
        yield f"length{show(colon)}", replace(LENGTH, colon=colon, body=PLAIN_BODY).render()


def missing_colon(_random: Random) -> Iterator[Variant]:
    for line in (b"X-A", b"X-A b", b"=", b"\x01"):
        yield show(line), replace(GET, head_end=line + b"\r\n\r\n").render()


def folded_line(_random: Random) -> Iterator[Variant]:
    for fold in (b"\r\n b", b"\r\n\tb", b"\r\n Content-Length: 5", b"\r\n \r\n b"):
        yield show(fold), GET.with_fields((b"X-A", b"a" + fold)).render()
    yield "first", replace(GET, fields=((b" Host", b"site.example"), (b"Host", b"site.example"))).render()


def white_space_in_value(_random: Random) -> Iterator[Variant]:
    for value in (b" b", b"b ", b"\tb\t", b"b c", b"b\tc", b""):
        yield show(value), GET.with_fields((b"X-A", value)).render()


def method_syntax(random: Random) -> Iterator[Variant]:
    methods = [b"G=T", b"G(T", b'"GET"', b"G\x00T", b"G\xc9T", b"GET:", b"@GET", b"", b"G T", b"GET\x0b", b"{GET}"]
    methods += [b"GE" + bytes([random.choice(b'"(),/:;<=>?@[\\]{}')]) + b"T" for _ in range(8)]
    for method in methods:
        yield show(method), replace(GET, method=method).render()


def method_case(_random: Random) -> Iterator[Variant]:
    for method in (b"get", b"Get", b"gET", b"post"):
        yield show(method), replace(GET, method=method).render()


def method_unknown(_random: Random) -> Iterator[Variant]:
    for method in (b"FOO", b"PURGE", b"M-SEARCH", b"PROPFIND"):
        yield show(method), replace(GET, method=method).render()


def method_refused(_random: Random) -> Iterator[Variant]:
    yield "TRACE", replace(GET, method=b"TRACE").render()
    yield "CONNECT-authority", replace(GET, method=b"CONNECT", target=b"site.example:443").render()
    yield "CONNECT-path", replace(GET, method=b"CONNECT").render()


def request_line_space(_random: Random) -> Iterator[Variant]:
    for one, two in (
        (b"  ", b" "),
        (b" ", b"  "),
        (b"\t", b" "),
        (b" ", b"\t"),
        (b"\x0b", b" "),
        (b" ", b"\x0c"),
        (b" \r", b" "),
    ):
        yield f"{show(one)}|{show(two)}", replace(GET, separators=(one, two)).render()
    yield "leading", replace(GET, prefix=b" ").render()
    yield "trailing", replace(GET, version=b"HTTP/1.1 ").render()


def empty_line_first(_random: Random) -> Iterator[Variant]:
    yield "one", replace(GET, prefix=b"\r\n").render()


def empty_lines_first(_random: Random) -> Iterator[Variant]:
    for prefix in (b"\r\n\r\n", b"\r\n" * 10, b"\n", b"\n\n", b"\r"):
        yield show(prefix), replace(GET, prefix=prefix).render()


def version_syntax(_random: Random) -> Iterator[Variant]:
    versions = [
        b"HTTP/0.9",
        b"HTTP/1.32",
        b"HTTP/2.0",
        b"HTTP/3",
        b"HTTP/ 1.1",
        b"HTTP/1.1x",
        b"HTTP/01.1",
        b"HTTP/1",
        b"HTTP/1.",
    ]
    versions += [
        b"HTTP/1,1",
        b"HTTP 1.1",
        b"http/1.1",
        b"HTTPS/1.1",
        b"ICY/1.1",
        b"HTTP/1.1.1",
        b"HTTP/-1.1",
        b"HTTP/1.01",
        b"HTTP/\xb9.1",
    ]
    for version in versions:
        yield show(version), replace(GET, version=version).render()


def version_minor(_random: Random) -> Iterator[Variant]:
    for version in (b"HTTP/1.2", b"HTTP/1.9"):
        yield show(version), replace(GET, version=version).render()


def version_absent(_random: Random) -> Iterator[Variant]:
    yield "http-0.9", b"GET /corpus\r\n\r\n"
    yield "http-0.9-space", b"GET /corpus \r\n\r\n"


def head_size(_random: Random) -> Iterator[Variant]:
    yield "field", GET.with_fields((b"X-A", b"a" * 70_000)).render()
    yield "target", replace(GET, target=b"/" + b"a" * 70_000).render()
    yield "count", GET.with_fields(*((b"X-%d" % number, b"a") for number in range(300))).render()


def expectation(_random: Random) -> Iterator[Variant]:
    for value in (b"x", b"200-ok", b"100-continue, x"):
        yield show(value), replace(LENGTH.with_fields((b"Expect", value)), body=PLAIN_BODY).render()


ALL: tuple[Mutation, ...] = (
    line_end,
    line_end_in_value,
    control_in_value,
    obs_text_in_value,
    name_syntax,
    space_before_colon,
    missing_colon,
    folded_line,
    white_space_in_value,
    method_syntax,
    method_case,
    method_unknown,
    method_refused,
    request_line_space,
    empty_line_first,
    empty_lines_first,
    version_syntax,
    version_minor,
    version_absent,
    head_size,
    expectation,
)
