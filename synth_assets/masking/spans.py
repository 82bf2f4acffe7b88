"""What a text detector finds in a batch of texts, and putting it together with the row's own values that were found there.

What belongs here: places in bytes. What does not: which detector (pii/detection.py), and what a finding becomes (detected.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.masking.texts import KIND, Array, Bytes, Places, Stretches, Texts, spans
from synth_assets.pii.detection import TextDetector

SEPARATOR = "\x1f"
PRIVATE = r"[\x{E000}-\x{F8FF}]"  # characters that no text means; scrubbing uses them as marks


def cleaned(column: Array) -> Texts:
    """Texts without private-use characters, accents on their letters."""
    texts = Texts.of(column)
    if (texts.data >= 0xEE).any():
        texts = Texts.of(pc.replace_substring_regex(texts.to_arrow(), PRIVATE, ""))
    return composed(texts)


def composed(texts: Texts) -> Texts:
    """Texts in Unicode's form C: an accent may stand apart from its letter, and é is the same name in both ways."""
    apart = (texts.data & 0xFE == 0xCC).any()  # U+0300 to U+037F
    return Texts.of(pc.utf8_normalize(texts.to_arrow(), form="NFC")) if apart else texts


@dataclass(frozen=True)
class Finder:
    """A detector as a function over batches: texts -> lists of type, first byte, byte after the last one, and value.

    Args:
        detector: Asked once per text; a language model allows nothing else.
    """

    detector: TextDetector

    def __call__(self, column: Array) -> pa.Array:
        """Search a batch; missing texts hold nothing."""
        texts = cleaned(column).to_arrow().to_pylist()
        return pa.array([self._one(t) if t else [] for t in texts], pa.list_(pa.string()))

    def _one(self, text: str) -> list[str]:
        made = []
        for span in self.detector.find(text):
            start = len(text[: span.start].encode())
            value = text[span.start : span.end]
            made.append(SEPARATOR.join([span.entity_type, str(start), str(start + len(value.encode())), value]))
        return made


def merged(
    texts: Texts, mentions: Stretches, other: Bytes, starts: Array, ends: Array, made: Array
) -> tuple[Stretches, Bytes]:
    """Mentions of the row's own values together with what the detector found.

    A finding that mentions cover wholly is left to them, so that it has the pseudonym of its column. Any other one takes the place
    of the mentions it meets, those that stick out included, so that nothing of either is left.

    Args:
        texts: A batch.
        mentions: Where values of the row stand.
        other: The bytes of their replacements.
        starts: Lists with the first byte of each finding within its text, rising; missing where there is none.
        ends: Lists with the byte after its last one.
        made: Lists with what replaces it.

    Returns:
        All stretches in order, none over another, and the bytes of their replacements.
    """
    rows, first = _flat(starts)
    if not len(rows):
        return mentions, other
    new = Texts.of(_lists(made).flatten())
    begin, end = texts.offsets[rows] + first, texts.offsets[rows] + _flat(ends)[1]
    owner = np.full(len(texts.data), -1)
    lengths = mentions.ends - mentions.starts
    owner[spans(mentions.starts, lengths)] = np.repeat(np.arange(len(lengths)), lengths)
    free = _before((KIND[texts.data] > 0) & (owner < 0))
    head, tail = owner[begin], owner[end - 1]
    some = len(lengths) > 0
    begin = np.where(head >= 0, mentions.starts[head], begin) if some else begin
    stop = np.where(tail >= 0, mentions.ends[tail], end) if some else end
    taken = np.flatnonzero(free[end] - free[texts.offsets[rows] + first] > 0)
    rows, begin, stop = rows[taken], begin[taken], stop[taken]
    begin[1:] = np.maximum(begin[1:], stop[:-1])
    taken, rows, begin, stop = (x[begin < stop] for x in (taken, rows, begin, stop))
    hidden = np.zeros(len(texts.data), bool)
    hidden[spans(begin, stop - begin)] = True
    over = _before(hidden)
    left = over[mentions.ends] == over[mentions.starts]
    found = Stretches(rows, begin, stop, new.offsets[taken] + len(other), new.lengths[taken])
    order = np.argsort(np.concatenate([mentions.starts[left], begin]), kind="stable")
    fields = ("rows", "starts", "ends", "new_starts", "new_lengths")
    parts = [np.concatenate([getattr(mentions, f)[left], getattr(found, f)])[order] for f in fields]
    return Stretches(*parts), np.concatenate([other, new.data])


def _before(marked: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Places:
    """How many marked bytes stand before each byte, and in all."""
    made: Places = np.concatenate([[0], np.cumsum(marked)])
    return made


def _lists(column: Array) -> pa.Array:
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _flat(column: Array) -> tuple[Places, Places]:
    """The row and the value of each entry of lists of whole numbers."""
    array = _lists(column)
    counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(array)), counts), array.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
