"""Mutations of authorities and targets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.protocol.corpus.mutations import CONTROL, GET, Mutation, Variant, show
from tests.protocol.corpus.payload import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


def host_absent(_random: Random) -> Iterator[Variant]:
    yield "1.1", Draft(method=b"GET", fields=()).render()


def host_repeated(_random: Random) -> Iterator[Variant]:
    for other in (b"site.example", b"other.example", b""):
        yield show(other), GET.with_fields((b"Host", other)).render()


def host_syntax(_random: Random) -> Iterator[Variant]:
    hosts = [
        b"user@site.example",
        b"site.example/x",
        b"site.example\\x",
        b"site example",
        b"site\x00.example",
        b"a,b",
        b"a?b",
        b"a#b",
    ]
    hosts += [
        b"site.example:x",
        b"site.example:99999",
        b"site.example:-1",
        b"a:80:80",
        b"[::1",
        b"[x]",
        b"::1",
        b"http://a",
        b"a%00b",
    ]
    hosts += [b"s\xeete.example", b'"a"', b"<a>", b"a\tb", b"a{b}", b"a|b", b"a^b", b"a`b"]
    for host in hosts:
        yield show(host), replace(GET, fields=((b"Host", host),)).render()


def target_form(_random: Random) -> Iterator[Variant]:
    targets = [
        b"corpus",
        b"?x",
        b"*",
        b"site.example/corpus",
        b"http:/corpus",
        b"http:///corpus",
        b"ftp://site.example/corpus",
    ]
    for target in (*targets, b"http://user@site.example/corpus", b"//", b"http://other.example/corpus"):
        yield show(target), replace(GET, target=target).render()


def target_bytes(random: Random) -> Iterator[Variant]:
    for byte in [*CONTROL[:10], *random.sample(range(0x80, 0x100), 8)]:
        yield f"{byte:#04x}", replace(GET, target=b"/a%cb" % byte).render()


def target_escape(random: Random) -> Iterator[Variant]:
    for escape in (
        b"%",
        b"%2",
        b"%zz",
        b"%u0041",
        b"%00",
        b"%2F",
        b"%5C",
        b"%2f..%2f",
        b"%c0%ae",
        b"%0d%0a",
        b"\\",
        b"#x",
    ):
        yield show(escape), replace(GET, target=b"/a" + escape).render()
    for _ in range(8):
        bad = b"%" + bytes(random.choices(b"ghijklmnopqrstuvwxyzGHIJ!*", k=2))
        yield show(bad), replace(GET, target=b"/a" + bad).render()


def target_path(_random: Random) -> Iterator[Variant]:
    for target in (
        b"/a/../b",
        b"/a/./b",
        b"//a",
        b"/a//b",
        b"/a;x=1",
        b"/a%20b",
        b"/a%25b",
        b"/a%C3%BC",
        b"/%61",
        b"/a?%zz",
    ):
        yield show(target), replace(GET, target=target).render()


def target_above_root(_random: Random) -> Iterator[Variant]:
    for target in (b"/..", b"/../a", b"/a/../../b", b"/%2e%2e/a"):
        yield show(target), replace(GET, target=target).render()


ALL: tuple[Mutation, ...] = (
    host_absent,
    host_repeated,
    host_syntax,
    target_form,
    target_bytes,
    target_escape,
    target_path,
    target_above_root,
)
