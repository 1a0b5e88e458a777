"""The column types and the few shapes of column that the tables are made of."""

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Digest(TypeDecorator[bytes]):
    """16 bytes: a uuid on PostgreSQL (a third faster than text there), a blob on SQLite."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.Uuid(as_uuid=True))
        return dialect.type_descriptor(sa.LargeBinary(16))

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "postgresql":
            return value
        return uuid.UUID(bytes=value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return value.bytes if isinstance(value, uuid.UUID) else value


Whole = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
# Keys sort by code point on both: the order of keys breaks ties in money.
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Bytes = sa.LargeBinary()


def table(name: str, *parts: Any, without_rowid: bool = False) -> sa.Table:
    return sa.Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=not without_rowid)


def amount(name: str, *, nullable: bool = False) -> tuple[sa.Column[int], ...]:
    return (
        sa.Column(f"{name}_whole", Whole, nullable=nullable),
        sa.Column(
            f"{name}_nano",
            sa.Integer,
            sa.CheckConstraint(f"{name}_nano BETWEEN 0 AND 999999999", name=f"{name}_nano"),
            nullable=nullable,
        ),
    )


def wide_amount(name: str, *, nullable: bool = False) -> tuple[sa.Column[int], ...]:
    """An amount whose whole units may pass 64 bits: `x_exa` counts 10**18 of them.

    A single quantity may reach 10**18, so that ten of them in one sum would be too many.
    """
    return (
        sa.Column(f"{name}_exa", Whole, nullable=nullable, server_default="0"),
        sa.Column(
            f"{name}_whole",
            Whole,
            sa.CheckConstraint(f"{name}_whole BETWEEN 0 AND 999999999999999999", f"{name}_whole"),
            nullable=nullable,
        ),
        sa.Column(
            f"{name}_nano",
            sa.Integer,
            sa.CheckConstraint(f"{name}_nano BETWEEN 0 AND 999999999", f"{name}_nano"),
            nullable=nullable,
        ),
    )


def whole(name: str, default: int | None = None, *, nullable: bool = False) -> sa.Column[int]:
    server_default = None if default is None else str(default)
    return sa.Column(name, Whole, nullable=nullable, server_default=server_default)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, Text, nullable=nullable)


def number_id(name: str) -> sa.Column[int]:
    return sa.Column(name, Whole, sa.Identity(), primary_key=True)


def period(name: str = "period", **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, autoincrement=False, **options)
