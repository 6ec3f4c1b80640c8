"""Sluice on a real API server, with many objects: start, changes, memory, and what the data path notices of them."""
