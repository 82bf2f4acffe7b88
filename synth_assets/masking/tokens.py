"""Tokens in a masking run: the distinct values of a domain get their tokens from the vault, and the tables look them up by keyed hash.

What belongs here: that table of keyed hash and token, which holds no raw value. What does not: the vault (vault.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.errors import ConfigError
from synth_assets.masking.keyring import KeyRing
from synth_assets.masking.kin import MARK
from synth_assets.masking.prepare import MaskInput
from synth_assets.masking.pseudonyms import hex_pseudonym
from synth_assets.masking.recipes import Recipe, Target, as_text, cook
from synth_assets.masking.vault import Shelf, TokenVault, shelf_of
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.engine import Session

_BATCH = 20_000
_SCHEMA = pa.schema([("h", pa.string()), ("token", pa.string())])


def lookup() -> Recipe:
    """The keyed hash by which the vault finds a value."""
    return hex_pseudonym()


def lookup_domain(domain: str) -> str:
    """The key domain of that hash; no pseudonym is made with it."""
    return f"vault/{domain}"


@dataclass(frozen=True)
class Tokens:
    """Pseudonym domain -> table of keyed hash `h` and `token`."""

    maps: Mapping[str, ir.Table]

    def put(self, table: ir.Table, columns: Mapping[str, str]) -> ir.Table:
        """Replace keyed hashes by tokens; the order of rows may change.

        Args:
            table: A table with columns of keyed hashes.
            columns: Such a column -> its pseudonym domain.
        """
        for i, (name, domain) in enumerate(columns.items()):
            known = self.maps[domain].rename({f"{MARK}h{i}": "h", f"{MARK}token{i}": "token"})
            table = table.left_join(known, [table[name] == known[f"{MARK}h{i}"]])
            table = table.mutate(**{name: table[f"{MARK}token{i}"]}).drop(f"{MARK}h{i}", f"{MARK}token{i}")
        return table


@contextmanager
def tokens_of(
    session: Session,
    ring: KeyRing,
    tables: Mapping[str, MaskInput],
    *,
    vault: TokenVault | None,
    release: SecretKey,
    release_domain: str,
) -> Iterator[Tokens]:
    """The tokens of all columns whose action is `tokenise`.

    Args:
        session: The open session.
        ring: Keys of the release domain.
        tables: All tables of the dataset.
        vault: The vault; needed where a plan tokenises.
        release: Key of the release domain.
        release_domain: Its name.

    Raises:
        ConfigError: a plan tokenises, and there is no vault.
        ServiceUnavailableError: the vault does not answer.
    """
    places: dict[str, list[tuple[Path, str, str]]] = {}
    for one in tables.values():
        for plan in one.plan.columns:
            if plan.action == "tokenise":
                places.setdefault(plan.domain, []).append((one.path, plan.column, plan.dtype))
    if not places:
        yield Tokens({})
        return
    if vault is None:
        raise ConfigError("the plan has columns to tokenise, and no vault was given.", key="action")
    with session.scratch() as scratch:
        maps = {}
        for i, (domain, columns) in enumerate(places.items()):
            parts = [_values(session, path, column, dtype) for path, column, dtype in columns]
            values = ibis.union(*parts, distinct=True) if len(parts) > 1 else parts[0].distinct()
            hashed = cook(values, {"h": (Target("v", lookup_domain(domain), ring), lookup())})
            file = scratch / f"{i}.parquet"
            _write(session, hashed, file, vault, shelf_of(release, release_domain, domain))
            maps[domain] = session.parquet(file)
        yield Tokens(maps)


def _values(session: Session, path: Path, column: str, dtype: str) -> ir.Table:
    table = session.parquet(path)
    values = table.select(v=as_text(table[column], dtype))
    return values.filter(values.v.notnull())


def _write(session: Session, hashed: ir.Table, file: Path, vault: TokenVault, shelf: Shelf) -> None:
    """Write keyed hash and token of every value, a batch at a time; raw values stay inside the engine and this process."""
    with pq.ParquetWriter(file, _SCHEMA) as out:
        for batch in session.batches(hashed.select("h", "v"), _BATCH):
            hashes, values = batch["h"].to_pylist(), batch["v"].to_pylist()
            made = vault.tokens(shelf, list(zip(hashes, values, strict=True)))
            out.write_table(pa.table([hashes, made], _SCHEMA))
