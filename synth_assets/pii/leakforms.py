"""The forms in which a value can stand in a file: as it is, in other letter case, escaped, encoded. One search finds all of them.

What belongs here: the forms and the search in bytes. What does not: what is packed in a file (leakscan.py).
"""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

LEAST_CHARACTERS = 6
_WINDOW = 6  # bytes of a needle that are looked for first
_TABLE_BITS = 22
_MIX = np.uint64(0x9E3779B97F4A7C15)


def forms(value: str) -> dict[bytes, str]:
    """Every form of a value, with its name; forms shorter than the least are left out."""
    texts = {value, value.lower(), value.upper()}
    found: dict[bytes, str] = {}
    for text in sorted(texts):
        _add(found, text.encode(), "text")
        _add(found, json.dumps(text)[1:-1].encode(), "json")
        _add(found, html.escape(text).encode(), "html")
        _add(found, html.escape(text).replace("&#x27;", "&#39;").encode(), "html")
        _add(found, urllib.parse.quote(text, safe="").encode(), "url")
        _add(found, urllib.parse.quote_plus(text).encode(), "url")
        _add(found, text.encode("latin-1", errors="ignore"), "latin-1")
    for data in (value.encode(), value.encode("utf-16-le")):
        _add(found, data.hex().encode(), "hex")
        _add(found, data.hex().upper().encode(), "hex")
        for core in _base64_cores(data):
            _add(found, core, "base64")
            _add(found, core.replace(b"+", b"-").replace(b"/", b"_"), "base64")
    _add(found, value.encode("utf-16-le"), "utf-16")
    _add(found, value.encode("utf-16-be"), "utf-16")
    return found


def _add(found: dict[bytes, str], form: bytes, name: str) -> None:
    if len(form) >= LEAST_CHARACTERS:
        found.setdefault(form, name)


def _base64_cores(data: bytes) -> Iterable[bytes]:
    """What base64 gives of a value inside a longer text, in three alignments, without the ends that depend on its neighbours."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data)
        first, whole = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        yield encoded[first:whole]


@dataclass(frozen=True)
class Hit:
    """One value in one form.

    Args:
        label: What the value is of, such as "people.email".
        number: Which of the label's values, from 0; never the value.
        form: Name of the form.
    """

    label: str
    number: int
    form: str


class Needles:
    """Values to look for.

    Args:
        values: Label -> values; those shorter than the least are left out, since they stand everywhere by chance.
    """

    def __init__(self, values: Mapping[str, Iterable[str]]) -> None:
        self._by_window: dict[int, list[tuple[bytes, Hit]]] = {}
        self.count = 0
        for label, some in values.items():
            for number, value in enumerate(dict.fromkeys(some)):
                if len(value) >= LEAST_CHARACTERS:
                    self.count += 1
                    for form, name in forms(value).items():
                        window = int.from_bytes(form[:_WINDOW], "little")
                        self._by_window.setdefault(window, []).append((form, Hit(label, number, name)))
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        windows = np.fromiter(self._by_window, dtype=np.uint64, count=len(self._by_window))
        self._table[_slots(windows)] = True

    def search(self, data: bytes) -> Counter[Hit]:
        """How often each value stands in some bytes, by form; one look at each byte, however many values there are."""
        found: Counter[Hit] = Counter()
        block = 1 << 22
        for start in range(0, max(0, len(data) - _WINDOW + 1), block):
            view = np.frombuffer(data, dtype=np.uint8, offset=start, count=min(block + _WINDOW - 1, len(data) - start))
            length = len(view) - _WINDOW + 1
            windows = np.zeros(length, dtype=np.uint64)
            for i in range(_WINDOW):
                windows |= view[i : i + length].astype(np.uint64) << np.uint64(8 * i)
            for place in np.flatnonzero(self._table[_slots(windows)]):
                for form, hit in self._by_window.get(int(windows[place]), ()):
                    at = start + int(place)
                    if data[at : at + len(form)] == form:
                        found[hit] += 1
        return found


def _slots(windows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (windows * _MIX) >> np.uint64(64 - _TABLE_BITS)
