"""The SQL of the marginal counts, written once in the dialect of DuckDB, as Spark SQL.

What belongs here: the translation, function by function. What does not: Ibis expressions (spark_dialect.py).
"""

from __future__ import annotations

from typing import Any

import sqlglot
import sqlglot.expressions as sge


def spark_sql(sql: str) -> str:
    """One query of DuckDB in the dialect of Spark."""
    tree = sqlglot.parse_one(sql, read="duckdb").transform(_mend)
    return str(tree.sql(dialect="spark"))


def _mend(node: Any) -> Any:
    """Functions and types that sqlglot leaves as they are."""
    if isinstance(node, sge.DataType) and node.this in (sge.DataType.Type.UTINYINT, sge.DataType.Type.USMALLINT):
        return sge.DataType.build("BIGINT")
    if isinstance(node, sge.SHA2 | sge.SHA2Digest):
        return sge.Anonymous(this="sha2", expressions=[node.this, sge.convert(256)])
    name = node.name.lower() if isinstance(node, sge.Anonymous) else ""
    if name == "list_extract":
        node.set("this", "element_at")
        node.set("expressions", [node.expressions[0], sge.cast(node.expressions[1], "int")])
        return node
    if name == "epoch_us" or isinstance(node, getattr(sge, "EpochUs", ())):
        moment = node.expressions[0] if name else node.this
        instant = sge.Cast(this=moment, to=sge.DataType.build("TIMESTAMP_LTZ", dialect="spark"))
        return sge.Anonymous(this="unix_micros", expressions=[instant])
    return node
