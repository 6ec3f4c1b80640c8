"""The results of a run as JSON and as a page to read, with everything one needs to judge them."""
