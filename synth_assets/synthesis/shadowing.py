"""Trains a synthesizer again on rows that are handed in: for shadow models, by which an audit attacks it.

What belongs here: rows in, synthetic rows out, in a private temporary folder that is removed. What does not: the attack, and anything
differentially private: to train such a synthesizer for an attack would read the held-out people outside every budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from synth_assets.config.dataset import ColumnConfig, SynthesizerConfig
from synth_assets.config.plain import shadow_fault
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.storage.rooms import temporary
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    import pandas as pd

Resynthesize = Callable[["pd.DataFrame", int], "pd.DataFrame"]


def resynthesizer(
    config: SynthesizerConfig, schema: TableSchema, columns: Mapping[str, ColumnConfig] | None = None
) -> Resynthesize:
    """What trains this synthesizer on given real rows, with a seed, and returns as many synthetic ones.

    Args:
        config: The synthesizer, with the numbers of its training.
        schema: Kinds of the columns; keys are left out.
        columns: What a person declared about columns.

    Raises:
        InputError: the synthesizer is differentially private, or needs to know how rows hang together.
    """
    fault = shadow_fault(config.name)
    if fault is not None:
        raise InputError(fault, key="shadow", remedy="Leave shadow models out for it.")

    def resynthesize(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        from synth_assets.synthesis.sdv_options import plain_synthesizer

        kept = tuple(c for c in schema.columns if c.name in rows.columns)
        table = TableSchema(name=schema.name, columns=kept, row_count=len(rows))
        with temporary() as scratch:
            folder = scratch / "rows"
            folder.mkdir(mode=0o700)
            pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / "part-00000.parquet")
            spec = TableSpec(
                table=table, path=folder, columns=table.names, configs=dict(columns or {}), unit_column=None
            )
            model = plain_synthesizer(config).fit(ReleaseSpec(tables=(spec,)), seed=child_seed(seed, "fit"))
            made = model.sample(rows=len(rows), seed=child_seed(seed, "sample"), out=scratch / "made")
            return pd.read_parquet(made[schema.name])

    return resynthesize
