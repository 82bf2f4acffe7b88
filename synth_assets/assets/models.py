"""Stage 7: the trained models. dp_marginals has the noisy measurements as its only parent, networks are trained in trained.py; what is
not private reads the split and stays restricted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.release_spec import release_spec, section_of
from synth_assets.assets.split import modelled_columns, roles_of
from synth_assets.assets.stage import CheckOutcome, Event, Job, Stage
from synth_assets.assets.trained import build_trained
from synth_assets.assets.wiring import Wiring
from synth_assets.checks.budget import canary_outcome, scan_outcome
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.config.plain import NETWORKS
from synth_assets.resources import StoreResource
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import ArtifactRef, Zone

VERSION = "1"
PLAIN_VERSION = "2"
GATES = "scan, canaries"


def zone_of(synthesizer: SynthesizerConfig) -> Zone:
    """A DP model may be released; any other is as good as the raw rows."""
    return Zone.RELEASE if synthesizer.differentially_private else Zone.RESTRICTED


def build_model(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """The asset `<dataset>/model_<synthesizer>`."""
    if synthesizer.trained_on_rows:
        return build_trained(wiring, synthesizer)
    build = _build_private if synthesizer.differentially_private else _build_plain
    return build(wiring, synthesizer)


def _build_private(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """Fitted from the stored noisy tables alone: no engine, no ledger and no key reaches this step."""
    asset, config, keys = wiring.keys.model(synthesizer.name), wiring.config, wiring.keys
    section = {"seed": config.seed}
    spec = wiring.spec(
        asset,
        stage="model",
        zone=Zone.RELEASE,
        section=section,
        version=VERSION,
        kinds={"pytorch", "python"},
        description="Mixture of product distributions fitted to the noisy measurements alone. Fitting again costs no privacy budget.",
        deps=[keys.measurements],
        gates=GATES,
    )
    checks = [
        wiring.check(
            asset, "scan", "The stored model is tables of probabilities over the public cells, and nothing else."
        ),
        wiring.check(
            asset,
            "canaries",
            "A twin of the release on sampled rows, with canaries in it, shows no epsilon above the claim.",
        ),
    ]

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec], check_specs=checks)
    def model(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            source = stage.read(Zone.RELEASE, keys.measurements)
            job = Job(
                Zone.RELEASE, asset, {"measurements": source.content_hash}, section, VERSION,
                lambda folder: _fit_private(stage.store.path(source), source, config.seed, folder),
                lambda folder, _: _judge_private(stage.store.path(source), source, config.seed, folder), gates=GATES,
            )  # fmt: skip
            spent = {"epsilon_spent": metadata.epsilon(source.info["spent"]["epsilon"])}
            events = stage.deliver(job, lambda ref: {**spent, **_describe(ref, keys.key(keys.measurements))})
        yield from events

    return model


def _fit_private(measurements: Path, source: ArtifactRef, seed: int, folder: Path) -> dict[str, Any]:
    from synth_assets.synthesis.release import fit_release, load_measurements

    fit_release(load_measurements(measurements), seed=child_seed(seed, "model_dp_marginals")).save(folder)
    told = {name: source.info[name] for name in ("columns", "spent")}
    return {**told, "measure_seconds": source.info["seconds"]}


def _judge_private(measurements: Path, source: ArtifactRef, seed: int, folder: Path) -> tuple[CheckOutcome, ...]:
    """The scan of the stored model, and the attack with canaries; neither reads a row of the data."""
    from synth_assets.synthesis.canaries import attack_canaries
    from synth_assets.synthesis.release import load_measurements, load_release
    from synth_assets.synthesis.scan import scan_model

    measured = load_measurements(measurements)
    findings = scan_model(folder, measured)
    holds = "every byte is accounted for: public cells and probabilities over them"
    if findings:
        return scan_outcome(findings, holds), CheckOutcome("canaries", True, "not run on a model that the scan rejects")
    delta = float(source.info["spent"]["delta"])
    attacks = attack_canaries(load_release(folder), measured, delta=delta, seed=child_seed(seed, "canaries"))
    return scan_outcome(findings, holds), canary_outcome(attacks)


def _build_plain(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    asset, config, keys = wiring.keys.model(synthesizer.name), wiring.config, wiring.keys
    section = section_of(wiring, synthesizer) | {"seed": config.seed}
    spec = wiring.spec(
        asset,
        stage="model",
        zone=Zone.RESTRICTED,
        section=section,
        version=PLAIN_VERSION,
        kinds={"python", "pytorch" if synthesizer.name in NETWORKS else "pandas"},
        description=(
            f"{synthesizer.name} of SDV. Not differentially private: the model is as good as the raw rows and stays restricted."
        ),
        deps=[keys.split],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def model(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            source = stage.read(Zone.RESTRICTED, keys.split)
            job = Job(
                Zone.RESTRICTED, asset, {"split": source.content_hash}, section, PLAIN_VERSION,
                lambda folder: _fit_plain(wiring, synthesizer, stage, source, folder),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(ref, keys.key(keys.split)))
        yield from events

    return model


def _fit_plain(
    wiring: Wiring, synthesizer: SynthesizerConfig, stage: Stage, split: ArtifactRef, folder: Path
) -> dict[str, Any]:
    from synth_assets.synthesis.sdv_options import plain_synthesizer

    spec = release_spec(wiring, split, stage.store.path(split))
    model = plain_synthesizer(synthesizer).fit(
        spec,
        seed=child_seed(wiring.config.seed, wiring.keys.model(synthesizer.name)),
        report=lambda what, fraction: stage.context.log.info("%s (%.0f %%)", what, 100 * fraction),
    )
    model.save(folder)
    return {"columns": modelled_columns(roles_of(split))}


def _describe(ref: ArtifactRef, source: dg.AssetKey) -> dict[str, Any]:
    """Which columns the model knows."""
    return metadata.columns_from(ref.info["columns"], source)
