"""From ``ir.Gateway`` to running workers: deltas, listening sockets, shared memory, supervision, the worker itself."""
