"""The release before this one and this one on one database, while usage flows.

Owns an older release in a checkout of its own with its own locks (`release`), and the roll on and
back (`rolling`). It needs git's history and a package index, so it is no part of `make test`; what
the first release left is upgraded there (`tests/test_upgrade.py`).
"""
