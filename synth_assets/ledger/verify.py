"""Checks an exported audit ledger: `python verify.py ledger.json --head HASH`. Needs Python 3.11 and its standard library only.

The same code checks the ledger in its database (`synth-assets verify`). It imports nothing of the package, so that it can be handed out
alone with an export and be read in one sitting.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

START = "0" * 64
SIGNATURE = "[0-9a-f]{128}"
KEPT_EVERY = 1_000
MOST_TOLD = 100
NOT_WRITTEN = "its content is not what was written"
UNANCHORED = "No head that was kept outside was given: that entries are missing at the end cannot be excluded."
Signed = Callable[[str, bytes, str], bool]


class Fault(NamedTuple):
    """What is wrong, and where.

    Attributes:
        position: Of the entry, from 1.
        reason: What is wrong with it.
    """

    position: int
    reason: str


class Row(NamedTuple):
    """An entry as it is stored, whatever somebody made of it."""

    position: Any
    at: Any
    record: Any
    previous: Any
    hash: Any

    def digest(self, name: str, position: int) -> str:
        """The hash of this content at a position."""
        content = [name, position, self.at, self.record, self.previous]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class ChainCheck:
    """Looks at the entries of a log one after the other, in order of their positions.

    Args:
        name: Name of the log; part of every hash.
        is_signed: Whether a signature under a message is of the holder of a public key.
        wanted: Hashes that the log should hold.
    """

    def __init__(self, name: str, is_signed: Signed, wanted: Iterable[str] = ()) -> None:
        self.name, self.is_signed = name, is_signed
        self.faults: list[Fault] = []
        self.remarks: list[str] = []
        self.keys: list[tuple[int, str]] = []  # from which entry on, and the public key
        self.marks: dict[int, str] = {}  # position -> hash, where a head is kept
        self.seen: dict[str, int] = {}
        self._wanted = frozenset(wanted)
        self._suspects: list[tuple[int, int, Row]] = []  # index of the fault, place, row
        self.entries, self.last = 0, START
        self._follows: tuple[str, ...] = (START,)

    def begin(self, before: Row, keys: Iterable[Row]) -> None:
        """Begin behind an entry that is believed: for a look at the newest entries alone.

        Args:
            before: That entry.
            keys: The entries up to it that name a key.
        """
        for row in keys:
            self._key(row.position, row)
        self.entries, self.last, self._follows = before.position, before.hash, (before.hash,)

    def look(self, row: Row) -> bool:
        """Look at the next entry; whether nothing is wrong with it."""
        place, before = self.entries + 1, len(self.faults)
        if type(row.position) is int and row.position > place:
            self._tell(place, _missing(place, row.position - 1))
            place = row.position
        elif row.position != place:
            self._tell(place, "its number is not one that follows on the entry before")
        texts = type(row.at) is type(row.record) is type(row.previous) is type(row.hash) is str
        own = row.digest(self.name, place) if texts else ""
        if own != row.hash:
            self._suspects.append((len(self.faults), place, row))
            self._tell(place, NOT_WRITTEN)
        if row.previous not in self._follows and own == row.hash and len(self.faults) == before:
            self._tell(place, "it does not follow on the entry before: an entry was removed, put in or written anew")
        self._follows = (str(row.hash),) if own == row.hash else (str(row.hash), own)
        self.entries, self.last = place, str(row.hash)
        if place % KEPT_EVERY == 0:
            self.marks[place] = self.last
        if self.last in self._wanted:
            self.seen.setdefault(self.last, place)
        if texts and own == row.hash and ('"ledger.start"' in row.record or '"key.rotate"' in row.record):
            self._key(place, row)
        return len(self.faults) == before

    def end(
        self, head: Mapping[str, Any] | None, kept: Mapping[int, Mapping[str, Any]], find: Callable[[str], int | None]
    ) -> None:
        """After the last entry: signatures, missing ends, and what became of changed entries.

        Args:
            head: The signed head: position, hash, key_id, signature.
            kept: Every head that was kept, by its position.
            find: Position of the entry with a hash, or None.
        """
        for index, place, row in self._suspects:
            if index < MOST_TOLD and (moved := self._moved(row, place, find)) is not None:
                self.faults[index] = Fault(place, moved)
        for position in sorted({*self.marks, *kept}):
            self._check_kept(position, kept.get(position))
        if head is None:
            if self.entries:
                self._tell(self.entries, "the signed head of the ledger is missing")
            return
        told = head["position"]
        if type(told) is not int or told < self.entries:
            self._tell(self.entries, f"entries behind {told} were put in: no head was signed for them")
        elif told > self.entries:
            self._tell(self.entries + 1, f"{_missing(self.entries + 1, told)} at the end")
        else:
            self._check_signed(told, self.last, head, "the head of the ledger")

    def compare(self, position: int | None, hashed: str) -> bool:
        """Whether the ledger still holds a head that was kept outside; call it after the last entry.

        Args:
            position: Number of entries that it speaks of; None where only the hash was kept.
            hashed: Hash of the last of them.
        """
        found = self.seen.get(hashed)
        if found is not None and position in {None, found}:
            return True
        where = f"with {position} entries " if position is not None else ""
        at = self.entries + 1 if position is None or position > self.entries else position
        self._tell(
            at,
            f"the head {where}that was kept outside ({hashed[:16]}) is not one of this ledger: cut off or written anew",
        )
        return False

    def trust(self, public: str | None) -> None:
        """Compare the key in force with the one that is known from elsewhere."""
        if public is not None and self.keys and self.keys[-1][1] != public:
            self._tell(self.keys[-1][0], "the key that this entry names is not the key of this installation")

    def _tell(self, position: int, reason: str) -> None:
        self.faults.append(Fault(position, reason))

    def _moved(self, row: Row, place: int, find: Callable[[str], int | None]) -> str | None:
        """Whether a changed entry is one of another position."""
        if not isinstance(row.previous, str) or not isinstance(row.hash, str):
            return None
        before = 0 if row.previous == START else find(row.previous)
        places = {p for _, p, _ in self._suspects[:MOST_TOLD]} | ({before + 1} if isinstance(before, int) else set())
        found = next((p for p in sorted(places - {place}) if row.digest(self.name, p) == row.hash), None)
        return None if found is None else f"it is entry {found}, moved or copied to this place"

    def _key(self, place: int, row: Row) -> None:
        said = json.loads(row.record)
        details = said.get("details") or {}
        if details.get("key") != "ledger" or said["action"] not in {"ledger.start", "key.rotate"}:
            return
        public = str(details.get("public"))
        if place > 1:
            consent, before = details.get("consent"), self.keys[-1][1] if self.keys else ""
            text = f"synth_assets ledger key\n{place - 1} {row.previous} {public}".encode()
            if consent is None:
                self.remarks.append(
                    f"At entry {place} the key was replaced without the earlier one: it was lost, or is somebody else's."
                )
            elif not self.is_signed(before, text, str(consent)):
                self._tell(place, "the earlier key did not consent to the new one")
        self.keys.append((place, public))

    def _check_kept(self, position: int, head: Mapping[str, Any] | None) -> None:
        if head is None:
            self._tell(position, "the head that was kept here is missing")
        elif position not in self.marks:
            self._tell(position, "a head is kept for an entry that is not there, or that has none")
        elif head["position"] != position:
            self._tell(position, "the head that was kept here speaks of another entry")
        else:
            self._check_signed(position, self.marks[position], head, "the head that was kept here")

    def _check_signed(self, position: int, hashed: str, head: Mapping[str, Any], noun: str) -> None:
        public = next((p for since, p in reversed(self.keys) if since <= position), "")
        message = b"synth_assets ledger head\n" + json.dumps([self.name, position, hashed]).encode()
        if head["hash"] != hashed:
            self._tell(position, f"{noun} has another hash than the entry")
        elif (
            not public
            or head["key_id"] != key_id(public)
            or not self.is_signed(public, message, str(head["signature"]))
        ):
            self._tell(position, f"the signature under {noun} is not valid")


def key_id(public: str) -> str:
    """The name of a public key: the first 16 hex digits of its SHA-256."""
    try:
        return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]
    except ValueError:
        return ""


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first >= last else f"entries {first} to {last} are missing"


def heads_in(text: str) -> list[tuple[int | None, str]]:
    """Heads in a text that was kept outside: JSON objects with `position` and `hash` on one line each, or bare hashes."""
    found: list[tuple[int | None, str]] = []
    for line in text.splitlines():
        objects = [json.loads(o) for o in re.findall(r'\{[^{}]*"hash"[^{}]*\}', line)]
        said = [(o.get("position"), o["hash"]) for o in objects]
        found += said or [(None, h) for h in re.findall(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", line)]
    return found


# Ed25519 after RFC 8032, section 6: the check of a signature
_P, _Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def _add(a: _Point, b: _Point) -> _Point:
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    g, h = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(factor: int, point: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while factor:
        total = _add(total, point) if factor & 1 else total
        point, factor = _add(point, point), factor >> 1
    return total


def _decoded(text: bytes) -> _Point | None:
    number = int.from_bytes(text, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if len(text) != 32 or y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return (x, y, 1, x * y % _P)


_BASE = _decoded((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))


def is_signed(public: str, message: bytes, signature: str) -> bool:
    """Whether an Ed25519 signature (lower-case hex digits) under a message is of the holder of a public key (hex digits)."""
    if not re.fullmatch(SIGNATURE, signature):  # one spelling only: any other byte is a changed one
        return False
    try:
        key, given = bytes.fromhex(public), bytes.fromhex(signature)
    except ValueError:
        return False
    a, r = _decoded(key), _decoded(given[:32])
    s = int.from_bytes(given[32:], "little")
    if a is None or r is None or s >= _Q or _BASE is None:
        return False
    h = int.from_bytes(hashlib.sha512(given[:32] + key + message).digest(), "little") % _Q
    left, right = _times(s, _BASE), _add(r, _times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 and (left[1] * right[2] - right[1] * left[2]) % _P == 0


def check_export(text: str, heads: Iterable[tuple[int | None, str]] = (), key: str | None = None) -> ChainCheck:
    """Check an export of the whole ledger.

    Args:
        text: What `synth-assets ledger -o ledger.json` wrote.
        heads: Heads that were kept outside.
        key: Public key of the installation, as 64 hex digits.
    """
    export, outside = json.loads(text), list(heads)
    check = ChainCheck(export["ledger"], is_signed, {h for _, h in outside})
    rows = [Row(*(entry.get(name) for name in Row._fields)) for entry in export["entries"]]
    for row in rows:
        check.look(row)
    places = {row.hash: row.position for row in rows}
    kept = {head["slot"]: head for head in export["heads"] if head["slot"]}
    check.end(next((h for h in export["heads"] if not h["slot"]), None), kept, places.get)
    for position, hashed in outside:
        check.compare(position, hashed)
    check.trust(key)
    return check


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 where the ledger is whole, else 3."""
    parser = argparse.ArgumentParser(description="Check an exported audit ledger.")
    parser.add_argument("ledger", type=Path, help="ledger.json, as synth-assets ledger -o wrote it, without a filter")
    parser.add_argument(
        "--head", action="append", default=[], help="a head that was kept outside: a hash, or a file; may be repeated"
    )
    parser.add_argument("--key", help="public key of the installation (64 hex digits)")
    given = parser.parse_args(arguments)
    texts = [Path(h).read_text(encoding="utf-8") if Path(h).is_file() else h for h in given.head]
    outside = [head for text in texts for head in heads_in(text)]
    check = check_export(given.ledger.read_text(encoding="utf-8"), outside, given.key)
    lines = [f"entry {f.position}: {f.reason}" for f in check.faults[:MOST_TOLD]] + check.remarks
    state = "NOT what was written" if check.faults else "whole"
    lines += [f"{check.entries} entries, {len(check.marks)} kept heads: {state}. Last hash {check.last}"]
    lines += [] if outside else [UNANCHORED]
    sys.stdout.write("\n".join(lines) + "\n")
    return 3 if check.faults else 0


if __name__ == "__main__":
    sys.exit(main())
