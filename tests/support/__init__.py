"""Parts that several test suites share: real sockets, real processes, no HTTP libraries."""
