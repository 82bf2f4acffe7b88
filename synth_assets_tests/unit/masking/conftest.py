"""Small made-up tables with schema and verdicts, and one recipe over one list of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.masking.keyring import KeyRing, release_key
from synth_assets.masking.plan import plan_tables
from synth_assets.masking.policies import load_policy
from synth_assets.masking.recipes import Recipe, Target, cook, separate_steps
from synth_assets.masking.records import MaskingPlan, MaskSummary
from synth_assets.masking.run import MaskInput, mask_tables
from synth_assets.masking.vault import TokenVault
from synth_assets.pii.detection import TextDetector
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

KEY = SecretKey(bytes(range(32)))
ENGINE = Engine(memory_limit="1GB", threads=2)
AS_OF = date(2025, 12, 31)
_KINDS = {
    "int64": ColumnKind.NUMBER,
    "double": ColumnKind.NUMBER,
    "string": ColumnKind.CATEGORY,
    "bool": ColumnKind.BOOLEAN,
    "date32[day]": ColumnKind.DATE,
    "timestamp[us]": ColumnKind.DATETIME,
}


@dataclass(frozen=True)
class Made:
    """One raw table."""

    path: Path
    schema: TableSchema
    verdicts: tuple[ColumnVerdict, ...]


def verdict(
    column: str, entity_type: str, *, confidence: float = 0.9, identifier_class: str | None = None
) -> ColumnVerdict:
    """A verdict with the type's usual class."""
    return ColumnVerdict(
        column=column,
        entity_type=entity_type,
        identifier_class=identifier_class or taxonomy()[entity_type].identifier_class,
        confidence=confidence,
        evidence=(),
        level="internal",
        recommended_action="keep",
    )


@dataclass
class House:
    """Tables of one dataset, masked together."""

    folder: Path
    tables: dict[str, Made]

    def table(
        self,
        name: str,
        columns: Mapping[str, Any],
        types: Mapping[str, str | ColumnVerdict],
        *,
        key: tuple[str, ...] = (),
        parents: Mapping[str, str] | None = None,
        texts: Sequence[str] = (),
    ) -> Made:
        """Write a raw table; `parents` as {column: "table.column"}."""
        table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
        path = self.folder / "raw" / name
        path.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path / "part-00000.parquet")
        schema = TableSchema(
            name=name,
            columns=tuple(
                ColumnSchema(
                    name=f.name, kind=ColumnKind.TEXT if f.name in texts else _KINDS[str(f.type)], dtype=str(f.type)
                )
                for f in table.schema
            ),
            primary_key=key,
            foreign_keys=tuple(
                ForeignKey(columns=(c,), parent_table=r.partition(".")[0], parent_columns=(r.partition(".")[2],))
                for c, r in (parents or {}).items()
            ),
            row_count=len(table),
        )
        verdicts = tuple(v if isinstance(v, ColumnVerdict) else verdict(c, v) for c, v in types.items())
        self.tables[name] = Made(path, schema, verdicts)
        return self.tables[name]

    def plans(self, policy: Any = "dev_test", **options: Any) -> dict[str, MaskingPlan]:
        """Plans of all tables."""
        rules = load_policy(policy) if isinstance(policy, str) else policy
        return plan_tables(
            {n: t.verdicts for n, t in self.tables.items()},
            rules,
            schemas={n: t.schema for n, t in self.tables.items()},
            as_of=AS_OF,
            **options,
        )

    def mask(
        self,
        policy: Any = "dev_test",
        *,
        out: str = "masked",
        release_domain: str = "test",
        detector: TextDetector | None = None,
        **options: Any,
    ) -> dict[str, MaskSummary]:
        """Mask all tables into a folder."""
        plans = self.plans(policy, **options)
        inputs = {n: MaskInput(t.path, t.schema, plans[n]) for n, t in self.tables.items()}
        paths = {n: self.folder / out / n for n in self.tables}
        vault = TokenVault(f"sqlite:///{self.folder / 'vault.db'}")
        return mask_tables(
            inputs, paths, key=KEY, engine=ENGINE, release_domain=release_domain, vault=vault, detector=detector
        )

    def read(self, name: str, out: str = "masked") -> dict[str, list[Any]]:
        """A masked table as columns of Python values."""
        return pq.read_table(self.folder / out / name / "part-00000.parquet").to_pydict()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty dataset."""
    return House(tmp_path, {})


@pytest.fixture(scope="session")
def brew(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Any]]:
    """Run one recipe over a list of values: brew(recipe, values, dtype=..., domain=..., release_domain=..., companions={role: values})."""
    folder = tmp_path_factory.mktemp("brew")

    def run(
        recipe: Recipe,
        values: Sequence[Any] | pa.Array,
        *,
        dtype: pa.DataType | None = None,
        domain: str = "test",
        release_domain: str = "test",
        companions: Mapping[str, Sequence[Any]] | None = None,
        as_arrow: bool = False,
    ) -> Any:
        array = values if isinstance(values, pa.Array) else pa.array(values, type=dtype or pa.string())
        others = {role: pa.array(v) for role, v in (companions or {}).items()}
        path = folder / "values.parquet"
        pq.write_table(pa.table({"v": array, "at": range(len(array)), **others}), path)
        with ENGINE.session() as session, separate_steps():
            ring = KeyRing(session, release_key(KEY, release_domain))
            target = Target("v", domain, ring, str(array.type), {role: role for role in others})
            made = cook(session.parquet(path), {"made": (target, recipe)}).order_by("at").select("made")
            result = made.to_pyarrow()["made"]
        return result if as_arrow else result.to_pylist()

    return run
