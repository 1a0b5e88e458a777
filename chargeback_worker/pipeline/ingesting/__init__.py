"""The parts of the ingest step that need no database: what a batch is, and what becomes of it.

`batch` holds the values, `settled` decides. Neither reads nor writes anything.
"""
