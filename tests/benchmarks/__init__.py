"""Long measurements, run by `make bench`; no test depends on a time in them."""
