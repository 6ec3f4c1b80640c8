"""HTTP/1.1: small and large answers, bodies, TLS, and many routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load.clients.wrk import Wrk, script_for_routes, script_for_upload
from benchmarks.load.groups import API, Group, plain
from benchmarks.load.machine import MEBIBYTE
from benchmarks.load.plan import Scenario
from benchmarks.load.site import Site, routes

if TYPE_CHECKING:
    from benchmarks.load.run import Run

KIBIBYTE = 1024
ROUTES = ((10, 1), (1_000, 10), (10_000, 100))
"""Routes, and the hosts that they are spread over."""
SMALL_BAR = 1.0
"""A small GET over plain HTTP/1.1 may cost no more than with the better of nginx and HAProxy."""


def small(run: Run) -> None:
    upload = script_for_upload(MEBIBYTE, run.folder / "upload.lua")
    scenarios = [
        Scenario(f"small, {count} connections", Wrk(count, "/api/hello"), SMALL_BAR) for count in (16, 64, 256)
    ]
    scenarios.append(Scenario("1 MiB down, 16 connections", Wrk(16, "/api/large")))
    scenarios.append(Scenario("1 MiB up, 16 connections", Wrk(16, "/api/upload", upload)))
    run.measure({plain(run, "plain"): scenarios})


def tls(run: Run) -> None:
    site = Site("tls", API, run.backend.port, run.certificate)
    run.measure({site: [Scenario("TLS 1.3, small, 64 connections", Wrk(64, "/api/hello"))]})


def post(run: Run) -> None:
    script = script_for_upload(16 * KIBIBYTE, run.folder / "post.lua")
    run.measure({plain(run, "post"): [Scenario("POST 16 KiB, 64 connections", Wrk(64, "/api/upload", script))]})


def many_routes(run: Run) -> None:
    targets = max(count for count, _ in ROUTES)
    sites = {}
    for count, hosts in ROUTES:
        site = Site(f"routes-{count}", routes(count, hosts), run.backend.port)
        script = script_for_routes(site.routes, targets, run.folder / f"routes-{count}.lua")
        sites[site] = [Scenario(f"{count:,} routes, 64 connections", Wrk(64, "/", script), SMALL_BAR)]
    run.measure(sites)


SMALL = Group(
    "small",
    "Plain HTTP/1.1 by `wrk`: GET with an answer of 128 bytes on 16, 64 and 256 connections; GET of 1 MiB and "
    "POST of 1 MiB (answered after the body was read) on 16 connections.",
    small,
)
TLS = Group(
    "tls",
    "HTTP/1.1 over TLS 1.3 by `wrk`: GET with an answer of 128 bytes on 64 connections that stay open; ECDSA P-256.",
    tls,
)
POST = Group(
    "post",
    "Plain HTTP/1.1 by `wrk`: POST of 16 KiB with `Content-Length` on 64 connections. The backend answers 128 "
    "bytes after it has read the body.",
    post,
)
ROUTES_GROUP = Group(
    "routes",
    "Plain HTTP/1.1 by `wrk`: GET with an answer of 128 bytes on 64 connections, 10,000 different URLs in turn "
    "without locality, whether 10 routes on 1 host, 1,000 on 10 or 10,000 on 100 serve them. All three sites are "
    "up at once.",
    many_routes,
)
