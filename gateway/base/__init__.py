"""Values that every other part may use: names, durations, globs and hashes. It imports nothing of the gateway."""
