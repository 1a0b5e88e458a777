"""The schema's history, applied by alembic; `store.schema` runs it and re-creates the guards last.

Expand, then contract: a release runs on the schema of the next one. A migration that ends this for
older releases raises `oldest_revision` in the table `installation`.
"""
