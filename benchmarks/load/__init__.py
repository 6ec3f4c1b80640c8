"""CPU per request of whole gateways under load, side by side: ``python -m benchmarks.load --help``."""
