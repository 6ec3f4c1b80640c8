"""Python filters. A filter is named in a route and answers the upcalls of that route on the worker's loop."""
