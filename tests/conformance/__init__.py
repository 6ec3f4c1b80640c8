"""Published conformance suites, and what takes their place where they do not run any more."""
