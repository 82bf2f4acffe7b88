"""Column names: as in the source, without outer blanks; made unique where they are not, since an engine cannot tell them apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synth_assets.errors import SourceError

SHOWN_NAMES = 40
SHOWN_CHARACTERS = 60
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_LOOKALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0458\u0455\u0501\u03bf\u03b1\u03bd\u03c1\u0391\u0392\u0395\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425",
    "aeopcxyijsdoavpABEABEKMHOPCTX",
)


@dataclass(frozen=True)
class ColumnNames:
    """Unique names, what was changed, and the names that stand for more than one column of the source."""

    names: tuple[str, ...]
    notes: tuple[str, ...]
    ambiguous: frozenset[str]


def column_names(raw: Sequence[str]) -> ColumnNames:
    """Give every column a name of its own; names that differ only in case count as equal.

    Args:
        raw: Header cells in order; empty ones get `column_<position>`.
    """
    stripped = [name.strip(" \t\r\n\v\f\u00a0\ufeff") for name in raw]
    notes = []
    if any(a != b for a, b in zip(raw, stripped, strict=True)):
        notes.append("blanks around column names were removed.")
    blank = [i for i, name in enumerate(stripped) if not name]
    if blank:
        notes.append(f"{len(blank)} column(s) without a name were named column_<position>.")
    taken = {name.casefold() for name in stripped if name}
    seen: set[str] = set()
    ambiguous: set[str] = set()
    names: list[str] = []
    for position, name in enumerate(stripped, 1):
        base, fresh = (name, name.casefold() not in seen) if name else (f"column_{position}", False)
        if name and not fresh:
            ambiguous.add(name)
        unique = name if fresh else _unused(base, taken | seen, first=bool(name))
        seen.add(unique.casefold())
        names.append(unique)
    if ambiguous:
        notes.append(
            f"column name(s) {shown(sorted(ambiguous))} occur more than once (case aside); later ones got a number."
        )
    notes += _lookalikes(names)
    return ColumnNames(tuple(names), tuple(notes), frozenset(ambiguous))


def _unused(base: str, taken: set[str], *, first: bool) -> str:
    if not first and base.casefold() not in taken:
        return base
    number = 2
    while f"{base}_{number}".casefold() in taken:
        number += 1
    return f"{base}_{number}"


def _lookalikes(names: Sequence[str]) -> list[str]:
    skeletons = {unicodedata.normalize("NFKC", n.translate(_INVISIBLE)).translate(_LOOKALIKE).casefold() for n in names}
    return (
        ["some column names look alike and differ only in invisible or foreign letters."]
        if len(skeletons) < len(names)
        else []
    )


def shown(names: Sequence[str]) -> str:
    """Names for a message: quoted, cut, without control characters, and not too many."""
    listed = [repr(n if len(n) <= SHOWN_CHARACTERS else n[:SHOWN_CHARACTERS] + "...") for n in names[:SHOWN_NAMES]]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(listed) + more


def missing_columns(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of `wanted` that are not in `names`, in order, each once."""
    have = set(names)
    return tuple(dict.fromkeys(name for name in wanted if name not in have))


def require_columns(
    names: Sequence[str], wanted: Mapping[str, str], *, source: str, ambiguous: frozenset[str] = frozenset()
) -> None:
    """Refuse a table in which a column is missing that the configuration uses.

    Args:
        names: Columns of the table.
        wanted: Column name -> configuration key that uses it.
        source: File, or database and query, for the message.
        ambiguous: Names that stand for more than one column of the source.

    Raises:
        SourceError: names the column, the key, and the columns that are there.
    """
    import difflib

    for name in missing_columns(names, list(wanted)):
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
        hint = f" Did you mean {shown(near)}?" if near else ""
        raise SourceError(
            "the table has no such column.",
            file=source,
            column=name,
            key=wanted[name],
            remedy=f"Its columns are {shown(names)}.{hint}",
        )
    for name in wanted:
        if name in ambiguous:
            raise SourceError(
                "this name stands for more than one column of the table.",
                file=source,
                column=name,
                key=wanted[name],
                remedy="Give every column of the source its own name.",
            )
