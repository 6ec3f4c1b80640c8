"""Mutated requests, generated from a seed: the same bytes in every run."""
