"""Batches of one domain's values to their pseudonyms of one form: what an engine calls while it masks a table.

What belongs here: the function over Arrow arrays, with the few values that get a later draw. What does not: forms (forms.py), and
finding out which values those are (unique.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synth_assets.masking.codes import codes_of
from synth_assets.masking.ff1 import FF1
from synth_assets.masking.forms import Form
from synth_assets.masking.shapes import hex_of
from synth_assets.masking.texts import Array, Texts, with_rows

DRAWS = 16  # the first one, and fifteen for values whose pseudonym met another or a real one
WITHOUT_FORM = DRAWS  # number of the draw that gives up the form: 32 hex digits


@dataclass(frozen=True)
class Later:
    """Values of one domain and form that do not get their first pseudonym.

    Args:
        codes: Their numbers (`Form.codes`), sorted, shape (n,).
        draws: Which draw each gets, 1 to `WITHOUT_FORM`, shape (n,).
    """

    codes: npt.NDArray[np.int64]
    draws: npt.NDArray[np.uint8]

    @staticmethod
    def nobody() -> Later:
        """Every value gets its first pseudonym."""
        return Later(np.zeros(0, np.int64), np.zeros(0, np.uint8))


@dataclass(frozen=True)
class Drawing:
    """A function from values to pseudonyms.

    Args:
        form: The form.
        ciphers: Keyed permutations, one per draw.
        later: Who gets a later draw.
    """

    form: Form
    ciphers: Sequence[FF1]
    later: Later = field(default_factory=Later.nobody)

    def __call__(self, column: Array) -> pa.Array:
        """Pseudonyms of a column of texts; missing stays missing."""
        texts = Texts.of(column)
        made = self.form.draw(texts, self.ciphers[0])
        if not len(self.later.codes) or not len(texts):
            return made.to_arrow()
        coded = self.form.codes(texts)
        own, known = coded.fill_null(0).to_numpy(), coded.is_valid().to_numpy(zero_copy_only=False)
        at = np.minimum(np.searchsorted(self.later.codes, own), len(self.later.codes) - 1)
        draws = np.where(known & (self.later.codes[at] == own), self.later.draws[at], 0)
        for draw in np.unique(draws[draws > 0]):
            rows = np.flatnonzero(draws == draw)
            made = with_rows(made, rows, self.drawn(texts.take(rows), int(draw)))
        return made.to_arrow()

    def drawn(self, texts: Texts, draw: int) -> Texts:
        """The pseudonyms of one draw."""
        if draw != WITHOUT_FORM:
            return self.form.draw(texts, self.ciphers[draw])
        own = self.form.codes(texts).fill_null(0).to_numpy().view(np.uint64)
        digits = np.concatenate([hex_of(self.ciphers[0].drawn(own, label)) for label in (2, 3)], axis=1)
        return Texts(digits.reshape(-1), np.arange(len(texts) + 1) * digits.shape[1], texts.valid)


@dataclass(frozen=True)
class OwnCodes:
    """A function from values to their numbers as the form takes them.

    Args:
        form: The form.
    """

    form: Form

    def __call__(self, column: Array) -> pa.Array:
        """Numbers of a column of texts; null where a text has no letters and digits."""
        return self.form.codes(Texts.of(column))


@dataclass(frozen=True)
class DrawnCodes:
    """A function from values to the numbers of their pseudonyms in one draw.

    Args:
        form: The form.
        cipher: Keyed permutation of the draw.
    """

    form: Form
    cipher: FF1

    def __call__(self, column: Array) -> pa.Array:
        """Numbers of a column of texts; null where the pseudonym has no letters and digits."""
        return codes_of(self.form.draw(Texts.of(column), self.cipher))


def one_draw(form: Form, cipher: FF1) -> Drawing:
    """The pseudonyms of one draw alone."""
    return Drawing(form, (cipher,))
