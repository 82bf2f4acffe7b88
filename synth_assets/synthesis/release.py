"""The public face of the DP synthesizer: plan, measure, fit, sample, for single and related tables.

plan = plan_release(spec, epsilon=1, delta=1e-6)                        # public facts only; its events are reserved
measured = measure_release(plan, engine=engine, noise=SystemNoise(), gate=gate)   # the only step that reads
model = fit_release(measured, seed=7)                                   # from noisy tables alone, as often as you like
model.sample(rows=None, seed=7, out=folder)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from synth_assets.config.sampling import Asked
from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.fit import fit
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.strata import Stratum
from synth_assets.synthesis.release_asked import release_strata
from synth_assets.synthesis.release_measure import (
    ReleaseLinks,
    ReleaseMeasurements,
    load_links,
    measure_release,
    save_links,
)
from synth_assets.synthesis.release_plan import ReleasePlan, plan_release
from synth_assets.synthesis.release_sample import ReleaseParts, sample_release

__all__ = [
    "DpMarginals",
    "ReleaseMeasurements",
    "ReleaseModel",
    "ReleasePlan",
    "fit_release",
    "load_measurements",
    "load_release",
    "measure_release",
    "plan_release",
]


@dataclass(frozen=True)
class ReleaseModel:
    """A fitted release: one model per table, and how the tables hang together."""

    links: ReleaseLinks
    models: dict[str, MarginalModel]
    context: dict[str, dict[str, np.ndarray]]

    def sample(
        self, *, rows: int | None = None, seed: int, out: Path, strata: Sequence[Stratum] = ()
    ) -> dict[str, Path]:
        """See `SynthesizerModel.sample`.

        Args:
            rows: Rows of the root table; None: the noisy number.
            seed: Same seed, same bytes.
            out: Folder.
            strata: From `strata`; empty for rows without conditions.
        """
        return sample_release(self._parts, rows=rows, seed=seed, out=out, strata=strata)

    def strata(self, asked: Asked, *, seed: int) -> tuple[Stratum, ...]:
        """Conditions and class shares against this model: each class with its probability under the model. Reads nothing but the model.

        Raises:
            InputError: the conditions cannot be met.
        """
        return release_strata(self._parts, asked, seed=seed)

    @property
    def _parts(self) -> ReleaseParts:
        return ReleaseParts(self.links, self.models, self.context)

    def save(self, folder: Path) -> None:
        """Write one sub-folder per table (numbered), `release.json` and `context.safetensors`; same content, same bytes."""
        for i, links in enumerate(self.links.tables):
            self.models[links.table.name].save(folder / f"table-{i:03d}")
        save_links(folder, self.links, self.context, {})


class DpMarginals:
    """The DP marginal synthesizer as a `Synthesizer[ReleaseMeasurements]`."""

    name: ClassVar[str] = "dp_marginals"
    differentially_private: ClassVar[bool] = True

    def fit(self, training: ReleaseMeasurements, *, seed: int) -> ReleaseModel:
        """See `fit_release`."""
        return fit_release(training, seed=seed)

    def load(self, folder: Path) -> ReleaseModel:
        """See `load_release`."""
        return load_release(folder)


def fit_release(
    measurements: ReleaseMeasurements,
    *,
    seed: int,
    device: str = "auto",
    progress: Callable[[str, float], None] | None = None,
) -> ReleaseModel:
    """Fit one model per table from stored measurements; spends nothing.

    Args:
        measurements: From `measure_release`.
        seed: Of the initial weights.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        progress: Called with a step's name and the fraction done.
    """
    report = progress or (lambda _what, _fraction: None)
    names = [t.table.name for t in measurements.links.tables]
    models = {}
    for i, name in enumerate(names):
        report(name, i / len(names))
        models[name] = fit(measurements.tables[name], seed=child_seed(seed, "fit", name), device=device)
    report("done", 1.0)
    return ReleaseModel(measurements.links, models, measurements.context)


def load_measurements(folder: Path) -> ReleaseMeasurements:
    """Read stored measurements.

    Raises:
        MissingArtifactError: a file is not there.
        InputError: the files are of another format version.
    """
    return ReleaseMeasurements.load(folder)


def load_release(folder: Path) -> ReleaseModel:
    """Read a stored model.

    Raises:
        MissingArtifactError: a file is not there.
        InputError: the files are of another format version.
    """
    links, context, _ = load_links(folder)
    models = {t.table.name: MarginalModel.load(folder / f"table-{i:03d}") for i, t in enumerate(links.tables)}
    return ReleaseModel(links, models, context)
