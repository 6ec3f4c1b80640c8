"""What becomes of a path, whatever protocol brings it (behaviour rows 22 to 26)."""

from __future__ import annotations

import pytest

NORMALISED = [
    pytest.param("/admin", "admin", "/admin", id="plain"),
    pytest.param("/admin/", "admin", "/admin/", id="trailing-slash"),
    pytest.param("/a/../admin", "admin", "/admin", id="dot-dot"),
    pytest.param("/a/b/../../admin", "admin", "/admin", id="two-dot-dots"),
    pytest.param("/a/./admin", "all", "/a/admin", id="dot"),
    pytest.param("/./admin", "admin", "/admin", id="leading-dot"),
    pytest.param("/a/%2e%2e/admin", "admin", "/admin", id="encoded-dot-dot"),
    pytest.param("/a/%2E%2E/admin", "admin", "/admin", id="encoded-upper-case"),
    pytest.param("/a/%2e./admin", "admin", "/admin", id="half-encoded"),
    pytest.param("/a/.%2E/admin", "admin", "/admin", id="other-half-encoded"),
    pytest.param("/%2e/admin", "admin", "/admin", id="encoded-dot"),
    pytest.param("/admin/..", "all", "/", id="up-at-the-end"),
    pytest.param("/admin/../x", "all", "/x", id="out-of-admin"),
    pytest.param("/admin/x/..", "admin", "/admin/", id="up-inside"),
    pytest.param("/admin/.", "admin", "/admin/", id="dot-at-the-end"),
    pytest.param("/%61dmin", "admin", "/admin", id="encoded-letter"),
    pytest.param("/%61%64%6D%69%6e", "admin", "/admin", id="encoded-word"),
    pytest.param("/adm%69n/x", "admin", "/admin/x", id="encoded-inside"),
    pytest.param("/a%7eb%2Dc%5fd%2e", "all", "/a~b-c_d.", id="unreserved-decoded"),
    pytest.param("/x%3ay", "all", "/x%3Ay", id="hex-upper-cased"),
    pytest.param("/ADMIN", "all", "/ADMIN", id="case-matters"),
    pytest.param("//admin", "all", "//admin", id="double-slash-kept"),
    pytest.param("/x//y", "all", "/x//y", id="inner-double-slash-kept"),
    pytest.param("/...", "all", "/...", id="three-dots"),
    pytest.param("/..admin", "all", "/..admin", id="dots-in-a-name"),
    pytest.param("/admin..", "admin", "/admin..", id="dots-behind-a-name"),
    pytest.param("/.admin", "all", "/.admin", id="dot-file"),
    pytest.param("/a/../admin?x=/../y", "admin", "/admin?x=/../y", id="query-untouched"),
    pytest.param("/x?%2e%2F%00%zz", "all", "/x?%2e%2F%00%zz", id="query-escapes-untouched"),
    pytest.param("/x?", "all", "/x?", id="empty-query"),
    pytest.param("/x?a?b", "all", "/x?a?b", id="question-mark-in-query"),
    pytest.param("/%C3%BC", "all", "/%C3%BC", id="encoded-utf8"),
    pytest.param("/a:b@c!$&'()*+,=", "all", "/a:b@c!$&'()*+,=", id="sub-delimiters"),
]
"""Target, the route that takes it, and the target that goes upstream."""

ABOVE_THE_ROOT = ["/..", "/../", "/../admin", "/../../../etc/passwd", "/a/../../admin", "/%2e%2e/admin", "/..//admin"]

AMBIGUOUS = [
    pytest.param("/a%2Fadmin", id="slash"),
    pytest.param("/a%2fadmin", id="slash-lower-case"),
    pytest.param("/a%2F..%2Fadmin", id="slash-dot-dot"),
    pytest.param("/a/..%2fadmin", id="dot-dot-slash"),
    pytest.param("/a%5Cadmin", id="backslash"),
    pytest.param("/a%5c..%5cadmin", id="backslash-dot-dot"),
    pytest.param("/a%00b", id="nul"),
    pytest.param("/admin%00.png", id="nul-suffix"),
    pytest.param("/a\\admin", id="raw-backslash"),
    pytest.param("/a\\..\\admin", id="raw-backslash-dot-dot"),
    pytest.param("\\admin", id="leading-backslash"),
    pytest.param("/\\admin", id="slash-backslash"),
    pytest.param("/..;/admin", id="dot-dot-parameter"),
    pytest.param("/a/..;x=y/admin", id="dot-dot-parameter-value"),
    pytest.param("/%c0%ae%c0%ae/admin", id="overlong-dots"),
    pytest.param("/a%c0%afadmin", id="overlong-slash"),
    pytest.param("/a%e0%80%afadmin", id="overlong-slash-3"),
    pytest.param("/\xfc", id="raw-latin-1"),
    pytest.param("/\xc3\xbc", id="raw-utf8"),
    pytest.param("/\x80", id="raw-0x80"),
    pytest.param("/\xff", id="raw-0xff"),
    pytest.param("/x?\xfc", id="raw-in-query"),
    pytest.param("/%zz", id="bad-hex"),
    pytest.param("/%2", id="short-hex"),
    pytest.param("/%", id="lone-percent"),
    pytest.param("/a%2gb", id="half-hex"),
    pytest.param("/%u0041", id="percent-u"),
    pytest.param("/a\x01b", id="control"),
    pytest.param("/a\x7fb", id="delete"),
    pytest.param("/a\tb", id="tab"),
]

RESERVED_ESCAPES = [
    "%25", "%3B", "%23", "%3F", "%20", "%22", "%3C", "%7B", "%40", "%3D", "%26", "%2B", "%0D%0A",
]  # fmt: skip

ENCODED_TWICE = [
    "/a/%252e%252e/admin",
    "/%2561dmin",
    "/a%252Fadmin",
    "/a%255cadmin",
    "/a%2500",
    "/%25%32%65%25%32%65/admin",
]

REWRITTEN_TO_DOTS = [
    pytest.param("/api../x", id="dot-dot"),
    pytest.param("/api./x", id="dot"),
    pytest.param("/api%2e%2e/x", id="encoded-dot-dot"),
    pytest.param("/api..", id="dot-dot-only"),
    pytest.param("/api.", id="dot-only"),
    pytest.param("/api..?x=/", id="query-behind"),
]
"""Where ``/api`` is replaced by ``/``, these would gain a segment of dots behind every check: refused."""

REWRITES = [
    pytest.param("/api", "/", id="prefix-itself"),
    pytest.param("/api?x=1", "/?x=1", id="query"),
    pytest.param("/api/x", "/x", id="one-slash-at-the-seam"),
    pytest.param("/apix", "/x", id="plain-prefix"),
    # Normalisation comes first: the segment "api.." goes away with the dots behind it.
    pytest.param("/api../../etc/passwd", "/etc/passwd", id="out-of-the-prefix"),
    pytest.param("/old/x", "/new/x", id="inside"),
    pytest.param("/old/x/../y", "/new/y", id="normalised-first"),
    pytest.param("/old/", "/new/", id="only-the-prefix"),
    pytest.param("/old/%20", "/new/%20", id="escape"),
    pytest.param("/old", "/old", id="not-matched"),
]
