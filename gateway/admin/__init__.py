"""The operator's port: health, metrics and diagnostics. Runs in the master only, never in a worker."""
