"""What a person asks of a release, against its models: conditions and class shares of the root table.

What belongs here: whose column a condition means. What does not: rows (release_sample.py), words of a condition (marginals/terms.py).
"""

from __future__ import annotations

import numpy as np

from synth_assets.config.sampling import Asked
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.strata import Stratum, strata_of
from synth_assets.synthesis.release_measure import ReleaseLinks
from synth_assets.synthesis.release_sample import ReleaseParts


def release_strata(parts: ReleaseParts, asked: Asked, *, seed: int) -> tuple[Stratum, ...]:
    """Classes of the rows of the root table, and how likely each is; children follow their parents.

    Raises:
        InputError: the conditions cannot be met, or name a column of another table.
    """
    root = parts.links.root
    model, columns = parts.models[root], parts.links.table(root).columns
    where = {_column(name, root, parts.links): terms for name, terms in asked.where.items()}
    balance = asked.balance
    if balance is not None:
        balance = balance.model_copy(update={"column": _column(balance.column, root, parts.links)})
    own = asked.model_copy(update={"where": where, "balance": balance})
    rng = np.random.default_rng(child_seed(seed, "sample", root, "shares"))
    return strata_of(model, own, columns, rng, impossible=parts.links.table(root).impossible)


def _column(name: str, root: str, links: ReleaseLinks) -> str:
    """A column of the root table, named alone or as `table.column`."""
    if name in links.table(root).table.names:
        return name
    table, dot, column = name.partition(".")
    if dot and table == root:
        return column
    if any(name in t.columns or (dot and table == t.table.name) for t in links.tables):
        raise InputError(
            f"a condition names a column of a table that follows {root!r}.", column=name, key="where",
            remedy=f"Ask for columns of {root!r}: {', '.join(links.table(root).columns)}. Its rows bring their own children.",
        )  # fmt: skip
    return name
