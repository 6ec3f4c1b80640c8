"""Where Sluice and the rivals disagree about a class of syntax, and why Sluice does what it does.

Keys are rules of the corpus. An entry that no payload needs any more is an error, so the tables cannot rot.
"""

from __future__ import annotations

STRICTER: dict[str, str] = {
    "length-syntax": "HAProxy forwards 2^64 as it stands; a length that overflows somewhere behind is refused here.",
    "length-leading-zero": "05 is 5 for us and octal for some readers; one spelling for one number.",
    "length-repeated-equal": "RFC 9112, 6.3 allows to refuse repeated lengths; a reader behind might take another one.",
    "length-and-coding": "RFC 9112, 6.1 allows to refuse both; HAProxy repairs the message, a repair hides an attack.",
    "coding-value": "An empty list element beside 'chunked' is read differently by different readers.",
    "coding-in-http-1-0": "HTTP/1.0 has no transfer codings; RFC 9112, 6.1 calls the framing faulty.",
    "name-with-underscore": "CGI-like readers cannot tell X_A from X-A; the Module can allow it.",
    "chunk-size": "White space behind the size and sizes of more than 16 digits are outside of the grammar.",
    "chunk-line-end": "Chunk lines end with CRLF; nginx and HAProxy take a lone LF, nginx takes anything at the end.",
    "chunk-extension": "White space before an extension is 'bad white space'; nobody sends it honestly.",
    "chunk-extension-control": "Control bytes in extensions have hidden line ends from readers before.",
    "trailer-syntax": "Trailers follow the field grammar; nginx and HAProxy do not look at them.",
    "line-end": "Lines end with CRLF; RFC 9112, 2.2 allows to take a lone LF, and readers disagree about it.",
    "line-end-in-value": "A line end inside of a value is how fields are smuggled.",
    "control-in-value": "RFC 9110, 5.5: field values have no control bytes; both rivals forward some of them.",
    "name-syntax": "RFC 9110, 5.6.2: a name is a token; nginx drops the field silently, we refuse the message.",
    "missing-colon": "A line without a colon is no field; nginx drops it silently.",
    "folded-line": "RFC 9112, 5.2 asks servers to refuse folded lines or to unfold them; HAProxy unfolds.",
    "method-case": "Methods are case-sensitive, the registered ones are upper case; a rule for GET must hold for get.",
    "method-refused": "TRACE echoes credentials and CONNECT opens a tunnel; neither passes a gateway by default.",
    "request-line-space": "RFC 9112, 3: single spaces; others move the target for readers that split differently.",
    "empty-lines-first": "RFC 9112, 2.2 asks to skip one empty line; more are a desynchronised peer, not a client.",
    "version-syntax": "RFC 9112, 2.3: 'HTTP/' DIGIT '.' DIGIT, and only 1.0 and 1.1 are spoken on this connection.",
    "version-minor": "HTTP/1.2 does not exist; who sends it is probing.",
    "version-absent": "HTTP/0.9 has no header fields, so no host and no routing.",
    "head-size": "More than 100 fields are refused, as Envoy does; nginx bounds the bytes only.",
    "host-absent": "RFC 9112, 3.2: a request without Host is answered 400.",
    "host-repeated": "RFC 9112, 3.2: more than one Host is answered 400, equal or not.",
    "host-syntax": "The authority is what routing and certificates depend on: names, addresses and ports only.",
    "target-form": "Origin form, absolute form of our own schemes that agrees with Host, or OPTIONS *; nothing else.",
    "target-bytes": "RFC 3986: raw bytes above 0x7F are no URI; readers decode them differently.",
    "target-escape": "Escapes that are broken, overlong, or mean '/', '\\' or NUL split paths differently behind.",
    "target-above-root": "HAProxy does not look at dot segments; a path above the root is an attack.",
}
"""Sluice refuses what at least one rival forwards."""

BETWEEN: dict[str, str] = {}
"""Sluice forwards what exactly one rival refuses."""
