"""A trained network with what turns its bins into values: sampled, stored and loaded without the data.

What belongs here: the stored form (safetensors and JSON, with a hash) and sampling through the release's own writer. What does not:
training (train.py), layers (tvae.py, ctgan.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.errors import InputError
from synth_assets.storage import atomic
from synth_assets.storage.hashing import hash_file
from synth_assets.synthesis.dpsgd.ctgan import Gan
from synth_assets.synthesis.dpsgd.layout import bin_shares, layout_of
from synth_assets.synthesis.dpsgd.network import Network
from synth_assets.synthesis.dpsgd.options import Method, TrainingOptions
from synth_assets.synthesis.dpsgd.tvae import Vae
from synth_assets.synthesis.marginals.measurements import FORMAT_VERSION, read_arrays, read_record, write_arrays
from synth_assets.synthesis.marginals.mixture import choose_device
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.release_measure import ReleaseLinks, load_links, save_links
from synth_assets.synthesis.release_sample import ReleaseParts, sample_release

ARRAYS = "network.safetensors"
RECORD = "network.json"
VALUES = "table-000"


@dataclass(frozen=True)
class TrainedModel:
    """A network for one table.

    Attributes:
        method: Name of the synthesizer.
        links: The table, without anything private.
        values: Cells of each bin and their noisy shares: what turns bins into values.
        network: Draws bins.
        target: Column that conditions the network, or None.
        options: Numbers it was trained with.
    """

    method: Method
    links: ReleaseLinks
    values: MarginalModel
    network: Network
    target: str | None
    options: TrainingOptions

    def sample(self, *, rows: int | None = None, seed: int, out: Path) -> dict[str, Path]:
        """See `SynthesizerModel.sample`."""
        name = self.links.root
        parts = ReleaseParts(self.links, {name: self.values}, {name: {}}, draw=self._draw)
        return sample_release(parts, rows=rows, seed=seed, out=out)

    def _draw(self, _model: MarginalModel, rows: int, rng: np.random.Generator, *, total: int) -> dict[str, np.ndarray]:  # noqa: ARG002
        return self.network.draw(rows, rng)

    def save(self, folder: Path) -> None:
        """Write weights, their hash, bins, and the table's schema; no pickle, no row."""
        arrays = {n: p.detach().cpu().numpy() for n, p in self.network.layers.state_dict().items()}
        write_arrays(folder / ARRAYS, arrays)
        record = {
            "format_version": FORMAT_VERSION,
            "method": self.method,
            "target": self.target,
            "options": self.options.model_dump(mode="json", exclude_none=True),
            "sha256": hash_file(folder / ARRAYS),
        }
        atomic.write_text(folder / RECORD, json.dumps(record, indent=1, sort_keys=True))
        self.values.save(folder / VALUES)
        save_links(folder, self.links, {self.links.root: {}}, {})


def load_trained(folder: Path, *, device: str = "auto") -> TrainedModel:
    """Read a stored model.

    Args:
        folder: What `TrainedModel.save` wrote.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".

    Raises:
        MissingArtifactError: a file is not there.
        InputError: the files are of another format version, or the weights are not those that were saved.
    """
    record, arrays = read_record(folder / RECORD), read_arrays(folder / ARRAYS)
    if hash_file(folder / ARRAYS) != record["sha256"]:
        raise InputError(
            "the weights are not those that were saved: their hash differs.",
            file=str(folder / ARRAYS),
            remedy="Restore the model from a backup; training again costs privacy budget.",
        )
    links, _, _ = load_links(folder)
    values = MarginalModel.load(folder / VALUES)
    options = TrainingOptions.model_validate(record["options"])
    network = make_network(values, record["target"], options, seed=0, device=device)
    network.restore({n: network.put(a) for n, a in arrays.items()})
    return TrainedModel(record["method"], links, values, network, record["target"], options)


def make_network(
    values: MarginalModel, target: str | None, options: TrainingOptions, *, seed: int, device: str = "auto"
) -> Network:
    """A network with fresh weights, for bins and noisy shares of a marginal model; a GAN where the options have its numbers."""
    layout, chosen = layout_of(values, target), choose_device(device)
    if options.gan is not None:
        return Gan(
            layout, hidden=options.hidden, latent=options.latent, gan=options.gan, seed=seed, device=chosen
        )  # fmt: skip
    return Vae(
        layout, hidden=options.hidden, latent=options.latent, beta=options.beta, seed=seed, device=chosen
    )  # fmt: skip


def values_of(model: MarginalModel) -> MarginalModel:
    """What a marginal model knows of single columns: cells, bins and noisy shares, without any dependence."""
    return MarginalModel(
        columns=model.columns,
        target=None,
        rows=model.rows,
        weights=np.ones(1, dtype=np.float32),
        tables={c.name: bin_shares(model, c.name)[:, None].astype(np.float32) for c in model.columns},
        group=model.group,
        inside=model.inside,
        roundness=model.roundness,
    )
