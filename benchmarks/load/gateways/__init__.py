"""The gateways of a run, each configured as its own documentation advises, with the same features on.

All of them route by host and prefix, replace the prefix, add X-Forwarded-For, X-Forwarded-Proto and X-Request-ID, apply
timeouts, count, keep connections to the backend open, offer HTTP/2 by ALPN where they terminate TLS, and write no
access log.
"""
