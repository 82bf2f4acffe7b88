"""Stage 7, networks: a model trained on the split by DP-SGD."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from synth_assets.assets.charged import ChargedStep, Reading, build_charged, read_privacy, refused
from synth_assets.assets.stage import CheckOutcome
from synth_assets.assets.wiring import Wiring
from synth_assets.checks.budget import budget_outcomes, canary_outcome, refused_outcomes, scan_outcome
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.privacy.empirical.records import EmpiricalCheck
from synth_assets.privacy.report import PrivacyReport
from synth_assets.resources import EngineResource
from synth_assets.seeds import child_seed

if TYPE_CHECKING:
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.synthesis.charged_training import TrainingJob


def build_trained(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """The asset `<dataset>/model_<synthesizer>` of a network."""
    step = ChargedStep(
        asset=wiring.keys.model(synthesizer.name),
        stage="model",
        version="1",
        kinds=frozenset({"pytorch", "python"}),
        description=(
            f"Network trained by DP-SGD on the split: epsilon {synthesizer.epsilon:g}, delta {synthesizer.delta:g}, charged to "
            f"population `{wiring.config.population}`. It reads rows, but nothing leaves the training without noise."
        ),
        checks={
            "canaries": "Canaries in the training show no epsilon above the claim in its noisy gradients.",
            "scan": "The stored network is weights, noisy shares and public cells, and nothing else.",
        },
        gates="empirical, canaries",
        release=_train,
        outcomes=_outcomes,
    )
    return build_charged(wiring, synthesizer, step)


def _job(reading: Reading) -> "TrainingJob":
    from synth_assets.synthesis.charged_training import TrainingJob
    from synth_assets.synthesis.dpsgd.options import method_of, training_options

    synthesizer = reading.synthesizer
    method = method_of(synthesizer.name)
    return TrainingJob(
        method=method,
        spec=reading.spec(),
        epsilon=synthesizer.epsilon,
        delta=synthesizer.delta,
        options=training_options(method, synthesizer.training),
        seed=child_seed(reading.wiring.config.seed, reading.asset),
    )


def _outcomes(reading: Reading, folder: Path) -> tuple[CheckOutcome, ...]:
    """The checks of what was charged, or of what the attacks refused."""
    from synth_assets.synthesis.charged_training import planned
    from synth_assets.synthesis.scan_training import scan_trained

    if (check := refused(folder)) is not None:
        return (*refused_outcomes(check), canary_outcome((), "nothing was trained"))
    holds = "every byte is accounted for: public cells, noisy shares, and weights of the planned shapes"
    report = read_privacy(folder)
    canaries = canary_outcome(report.canaries, "was trained by an earlier version, without canaries")
    return (*budget_outcomes(report), canaries, scan_outcome(scan_trained(folder, planned(_job(reading))), holds))


def _train(
    reading: Reading, budget: "BudgetLedger", engine: EngineResource, folder: Path
) -> PrivacyReport | EmpiricalCheck:
    from synth_assets.synthesis.charged_training import prepare_training, train_charged

    job = _job(reading)
    prepared = prepare_training(job, repetitions=engine.settings().audit_repetitions)
    if not prepared.empirical.passed:
        return prepared.empirical
    return train_charged(
        job,
        prepared=prepared,
        charge=reading.charge(),
        ledger=budget,
        engine=engine.open(),
        out=folder,
        progress=lambda what, fraction: reading.stage.context.log.info("%s (%.0f %%)", what, 100 * fraction),
    )
