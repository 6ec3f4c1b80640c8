"""Load for minutes, in front of which nothing may grow."""
