"""Numbers of the networks that are not private, and the registry of everything that SDV does for us.

What belongs here: names, defaults, which class serves which name. What does not: SDV itself, which is imported when a model is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.config.plain import NetworkConfig

if TYPE_CHECKING:
    from synth_assets.synthesis.protocol import ReleaseSpec, Synthesizer

EPOCHS = {"par": 128}  # as in SDV
USUAL_EPOCHS = 300
BATCH = 500


@dataclass(frozen=True)
class NetworkOptions:
    """How a network that is not private is trained.

    Attributes:
        epochs: Passes over the rows.
        batch_size: Rows of one step; CTGAN judges ten together.
    """

    epochs: int = USUAL_EPOCHS
    batch_size: int = BATCH

    @classmethod
    def of(cls, name: str, config: NetworkConfig | None = None) -> NetworkOptions:
        """The numbers for what a person declared."""
        config = config or NetworkConfig()
        return cls(config.epochs or EPOCHS.get(name, USUAL_EPOCHS), config.batch_size or BATCH)


def plain_synthesizer(config: SynthesizerConfig) -> Synthesizer[ReleaseSpec]:
    """The synthesizer of a configuration, for one that is not private."""
    from synth_assets.synthesis.sdv_hma import Hma
    from synth_assets.synthesis.sdv_models import CopulaGan, Ctgan, GaussianCopula, Tvae
    from synth_assets.synthesis.sdv_par import Par

    known: dict[str, Callable[[NetworkOptions], Synthesizer[ReleaseSpec]]] = {
        c.name: c for c in (GaussianCopula, Ctgan, Tvae, CopulaGan, Hma, Par)
    }
    return known[config.name](NetworkOptions.of(config.name, config.network))
