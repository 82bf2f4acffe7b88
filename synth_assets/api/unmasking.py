"""`detokenise` and `detokenise_column`: the values behind tokens, for people who may; who asked and why is recorded first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.api.reading import destination, engine_of, frame_of, ingested, settings_of
from synth_assets.errors import InputError, MissingArtifactError, withhold_values
from synth_assets.storage.rooms import temporary
from synth_assets.storage.secrets import master_key

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.api.reading import Ingested, Table
    from synth_assets.ledger.heads import Head
    from synth_assets.masking.unmasking import Revealed


def detokenise(tokens: Iterable[str], *, reason: str, actor: str | None = None, home: Path | None = None) -> Revealed:
    """The values behind tokens. Who asked, when and why is on record before this returns; a refusal is recorded as well.

    Args:
        tokens: Tokens that `mask` made with the action `tokenise`.
        reason: Why, 3 to 500 characters; the record keeps it.
        actor: Who asks; the user of this process when None.
        home: Home folder with key and vault; the nearest one when None.

    Raises:
        ConfigError: there is no key, or it is not the one that the tokens were made with.
        InputError: a text is no token, or is not in the vault.
        MissingArtifactError: there is no vault.
        ServiceUnavailableError: vault or record do not answer.
    """
    from synth_assets.ledger.actors import process_user
    from synth_assets.ledger.opening import open_audit_ledger
    from synth_assets.masking.unmasking import reveal
    from synth_assets.masking.vault import TokenVault

    settings = settings_of(home)
    vault = TokenVault(settings.vault_location)
    with withhold_values("detokenise"):
        if not vault.exists:
            raise MissingArtifactError(
                "there is no vault: nothing was tokenised in this home.",
                file=str(settings.home),
                remedy="Name the home folder that has it with --home, or set SYNTH_ASSETS_VAULT_URL.",
            )
        master = master_key(settings.keys_folder, make=False)
        return reveal(
            tokens, reason=reason, actor=actor or process_user(), vault=vault, master=master,
            ledger=open_audit_ledger(settings),
        )  # fmt: skip


def detokenise_column(
    table: Table,
    column: str,
    out: Path | str | None = None,
    *,
    reason: str,
    actor: str | None = None,
    home: Path | None = None,
) -> tuple[Path | pd.DataFrame, Head]:
    """A table with the values of one column in place of their tokens.

    Args:
        table: File or frame.
        column: The column of tokens; missing cells stay missing.
        out: File to write; a frame is returned when None.
        reason: As in `detokenise`.
        actor: As in `detokenise`.
        home: As in `detokenise`.

    Returns:
        The file or frame, and the head of the audit ledger behind the entry that was written before.

    Raises:
        InputError: there is no such column, or a cell is no token.
        ConfigError: as in `detokenise`.
    """
    from synth_assets.exports.formats import write_table

    target = destination(out, table)
    with ingested(table) as data, temporary() as scratch:
        found = detokenise(_tokens_in(data, column), reason=reason, actor=actor, home=home)
        folder = scratch / "values"
        _write_values(data, column, found, folder)
        if target is None:
            return frame_of(folder), found.head
        write_table(folder, target, schema=data.schema, engine=engine_of(), provenance={"detokenised": column})
        return target, found.head


def _tokens_in(data: Ingested, column: str) -> list[str]:
    if column not in data.schema.names or data.schema.column(column).dtype != "string":
        raise InputError("there is no column of tokens of this name.", column=column, remedy="Check its name.")
    with withhold_values("reading tokens"), engine_of().files_session() as session:
        table = session.parquet(data.folder)
        found = table.select(token=table[column]).drop_null().distinct().to_pyarrow()
    return [str(token) for token in found["token"].to_pylist()]


def _write_values(data: Ingested, column: str, found: Revealed, folder: Path) -> None:
    """The table with values in place of tokens, in a private temporary folder."""
    import ibis
    import pyarrow as pa
    import pyarrow.parquet as pq

    with withhold_values("writing values"), engine_of().files_session() as session:
        folder.mkdir(mode=0o700)
        texts = pa.table([list(found.texts), list(found.texts.values())], ["token", "value"])
        pq.write_table(texts, folder / "values.parquet")
        known = session.parquet(folder / "values.parquet")
        table = session.parquet(data.folder).mutate(_row=ibis.row_number())
        both = table.left_join(known, [table[column] == known.token]).order_by("_row")
        session.write(
            both.select(**{n: both["value" if n == column else n] for n in data.schema.names}),
            folder / "part-00000.parquet",
        )
