"""Faults between the gateway and its upstreams."""
