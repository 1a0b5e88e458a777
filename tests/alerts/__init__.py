"""Each alert fired by its real fault, and cleared: `make test-alerts`."""
