"""A training under DP-SGD: planned and refused before reading, private end to end, stored with a hash, charged also when it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from synth_assets.checks.budget import canary_outcome
from synth_assets.config.dataset import ColumnConfig, TrainingConfig
from synth_assets.errors import (
    BudgetExceededError,
    CheckFailedError,
    ConfigError,
    InputError,
    MissingArtifactError,
    ReleaseRefusedError,
    UnexpectedError,
)
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy.accounting import epsilon_spent, spent
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.crosscheck import verify
from synth_assets.privacy.empirical.words import bound_words
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.privacy.records import Event, SampledGaussianEvent
from synth_assets.storage.hashing import hash_folder
from synth_assets.synthesis.charged import Charge
from synth_assets.synthesis.charged_training import PreparedTraining, TrainingJob, train_charged, training_key
from synth_assets.synthesis.charged_training import planned as planned_of
from synth_assets.synthesis.dpsgd import plan as plan_module
from synth_assets.synthesis.dpsgd import train as train_module
from synth_assets.synthesis.dpsgd.model import TrainedModel, load_trained
from synth_assets.synthesis.dpsgd.options import GanOptions, Method, TrainingOptions, method_of, training_options
from synth_assets.synthesis.dpsgd.plan import TrainingPlan, plan_training
from synth_assets.synthesis.dpsgd.steps import PrivateSteps
from synth_assets.synthesis.dpsgd.train import Training, train
from synth_assets.synthesis.empirical_training import attack_training
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.scan_training import scan_trained
from synth_assets.tables.engine import Engine

ENGINE = Engine(threads=1)
CANARY = "canary@example.org"
QUICK = TrainingOptions(
    steps=3, hidden=12, latent=3, warm_rows=600, warm_epochs=1, warm_batch=100, tilt_rounds=1, tilt_rows=500
)
METHODS: tuple[Method, ...] = ("dp_tvae", "dp_ctgan")
CALIBRATED: dict[str, float] = {}


@pytest.fixture(autouse=True)
def _calibrate_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same plan is made by many tests: its noise is calibrated once."""
    real = plan_module.calibrate_noise

    def known(events: Callable[[float], tuple[Event, ...]], *, epsilon: float, delta: float) -> float:
        key = repr((events(1.0), epsilon, delta))
        if key not in CALIBRATED:
            CALIBRATED[key] = real(events, epsilon=epsilon, delta=delta)
        return CALIBRATED[key]

    monkeypatch.setattr(plan_module, "calibrate_noise", known)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> Method:
    """Every network."""
    return method_of(request.param)


def open_gate() -> None:
    """A reservation is open."""


@pytest.fixture
def spec(make_spec: Callable[..., TableSpec], people: pa.Table, people_configs: dict[str, ColumnConfig]) -> ReleaseSpec:
    table = make_spec("people", people, configs=people_configs)
    return ReleaseSpec(tables=(table,), target=("people", "outcome"))


def quick_options(method: Method, **changes: Any) -> TrainingOptions:
    return QUICK.model_copy(update={"gan": GanOptions(fakes=50) if method == "dp_ctgan" else None, **changes})


def planned(
    spec: ReleaseSpec, quick: MarginalOptions, epsilon: float = 8.0, method: Method = "dp_tvae", **changes: Any
) -> TrainingPlan:
    options = quick_options(method, **changes)
    return plan_training(spec, method=method, epsilon=epsilon, delta=1e-6, options=options, marginals=quick)


def trained(plan: TrainingPlan, seed: int = 1, **options: Any) -> Training:
    return train(plan, engine=ENGINE, noise=SystemNoise(), gate=open_gate, seed=seed, device="cpu", **options)


# plan


@pytest.mark.parametrize(("warm", "epsilon", "method"), [(True, 0.5, "dp_tvae"), (False, 3.0, "dp_ctgan")])
def test_tables_and_steps_together_cost_the_target_and_no_more(
    spec: ReleaseSpec, quick: MarginalOptions, epsilon: float, warm: bool, method: Method
) -> None:
    options = training_options(method, TrainingConfig(warm_start=warm))
    plan = plan_training(spec, method=method, epsilon=epsilon, delta=1e-6, options=options, marginals=quick)
    cost = spent(plan.events, 1e-6)
    assert 0.995 * epsilon <= cost.epsilon <= epsilon
    assert verify(plan.events, cost).accountant == "opacus.prv"
    share = epsilon_spent(plan.tables.events, 1e-6) / epsilon
    assert share == pytest.approx(np.sqrt(0.9 if warm else 0.03), abs=0.02)


def test_without_a_warm_start_no_table_of_two_columns_is_measured(spec: ReleaseSpec, quick: MarginalOptions) -> None:
    plan = planned(spec, quick, warm_start=False)
    assert plan.table.budget.pairs == 0
    assert plan.table.budget.sigma_target is None
    assert plan.target == "outcome"


def test_several_tables_are_refused_before_data_are_read(family: list[TableSpec], quick: MarginalOptions) -> None:
    release = ReleaseSpec(tables=tuple(family), unit=("patients", "id"))
    for table in family:
        table.path.joinpath("part-00000.parquet").unlink()
    with pytest.raises(ConfigError, match="models one table"):
        planned(release, quick)


def test_a_table_without_a_column_to_learn_is_refused(make_spec: Callable[..., TableSpec], people: pa.Table) -> None:
    with pytest.raises(ConfigError, match="no column to learn"):
        planned(ReleaseSpec(tables=(make_spec("people", people, columns=()),)), MarginalOptions())


def test_what_is_declared_wins_over_the_defaults() -> None:
    cold = training_options(
        "dp_tvae", TrainingConfig(warm_start=False, steps=7, share=0.5, clip=2.0, sampling_rate=0.2)
    )
    assert (cold.warm_start, cold.steps, cold.share, cold.clip, cold.sampling_rate) == (False, 7, 0.5, 2.0, 0.2)
    assert training_options("dp_tvae", None) == TrainingOptions()
    with pytest.raises(InputError):
        method_of("gaussian_copula")


# private end to end


def silenced(monkeypatch: pytest.MonkeyPatch, measured: Any) -> list[dict[str, Any]]:
    """Steps that change nothing but tell what they were given, and noisy tables that are given."""
    seen: list[dict[str, Any]] = []

    def step(self: PrivateSteps, loss: Any) -> None:
        self.taken += 1
        for p in self.parameters:
            p.grad = None
        weights = b"".join(p.detach().numpy().tobytes() for p in self.parameters)
        seen.append({"weights": weights, "expected": self.expected, "clip": self.clip, "plan": self.plan})

    monkeypatch.setattr(PrivateSteps, "step", step)
    monkeypatch.setattr(train_module, "measure_release", lambda *args, **options: measured)
    return seen


@pytest.mark.parametrize(("warm", "method"), [(True, "dp_tvae"), (False, "dp_tvae"), (True, "dp_ctgan")])
def test_neighbours_start_from_the_same_bytes_and_only_steps_carry_data(
    spec: ReleaseSpec,
    quick: MarginalOptions,
    people: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    warm: bool,
    method: Method,
) -> None:
    """Equal noisy tables, and one row more that is missing, extreme or ordinary: encoder, weights, divisor and model are the same bytes."""
    plan = planned(spec, quick, warm_start=warm, method=method)
    measured = trained(plan).measured
    seen = silenced(monkeypatch, measured)
    folder, hashes = spec.tables[0].path, []
    more = [
        {"group": None, "score": None, "amount": None, "outcome": None},
        {"group": "z", "score": -(10**9), "amount": 1e12, "outcome": True},
        {"group": "a", "score": 3, "amount": 1.0, "outcome": False},
    ]
    for i, rows in enumerate(
        [people, *(pa.concat_tables([people, pa.Table.from_pylist([m], people.schema)]) for m in more)]
    ):
        pq.write_table(rows, folder / "part-00000.parquet")
        trained(plan, seed=4).model.save(tmp_path / str(i))
        hashes.append(hash_folder(tmp_path / str(i)))
    assert len(set(hashes)) == 1
    first = seen[: QUICK.steps]
    assert all(seen[i : i + QUICK.steps] == first for i in range(0, len(seen), QUICK.steps))


def test_two_trainings_with_one_seed_differ_since_noise_takes_none(
    spec: ReleaseSpec, quick: MarginalOptions, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(spec, quick, method=method)
    measured = trained(plan).measured
    monkeypatch.setattr(train_module, "measure_release", lambda *args, **options: measured)
    one, two = (trained(plan, seed=1).model.network.layers.state_dict() for _ in range(2))
    assert not any(np.array_equal(one[name].numpy(), two[name].numpy()) for name in one)


def test_the_critic_alone_takes_noisy_gradients_and_is_not_stored(
    spec: ReleaseSpec, quick: MarginalOptions, tmp_path: Path
) -> None:
    network = trained(planned(spec, quick, method="dp_ctgan")).model
    network.save(tmp_path)
    names = load_file(tmp_path / "network.safetensors").keys()
    assert {n.split("_")[0] for n in names} == {"generator"}
    assert all(name.startswith("critic_") for name in network.network.private)
    assert network.network.inside == 0


def test_what_ran_is_what_was_planned(spec: ReleaseSpec, quick: MarginalOptions) -> None:
    plan = planned(spec, quick)
    done = trained(plan)
    assert [e for e in done.events if isinstance(e, SampledGaussianEvent)] == [plan.steps]
    assert epsilon_spent(done.events, 1e-6) <= plan.epsilon


def test_repeatable_noise_is_refused_for_a_release(spec: ReleaseSpec, quick: MarginalOptions, zero_noise: Any) -> None:
    with pytest.raises(ReleaseRefusedError):
        train(planned(spec, quick), engine=ENGINE, noise=zero_noise, gate=open_gate, seed=1)


def test_progress_names_step_epsilon_and_time_but_no_loss(
    spec: ReleaseSpec, quick: MarginalOptions, method: Method
) -> None:
    told: list[tuple[str, float]] = []
    trained(planned(spec, quick, method=method), progress=lambda what, part: told.append((what, part)))
    words = [what for what, _ in told]
    assert any("epoch 1 of 1" in w and "s left" in w for w in words)
    assert any("step 3 of 3, epoch 0.3 of 0.3, epsilon so far" in w for w in words)
    assert not any("loss" in w for w in words)
    spent_so_far = [float(w.split("so far ")[1].split(",")[0]) for w in words if "so far" in w]
    assert spent_so_far == sorted(spent_so_far)
    assert all(0 <= part <= 1 for _, part in told)


def test_persons_with_several_rows_are_bounded_and_drawn_whole(
    make_spec: Callable[..., TableSpec], people: pa.Table, people_configs: dict[str, ColumnConfig], quick: MarginalOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    owners = np.sort(np.random.default_rng(1).integers(0, 300, people.num_rows))
    rows = people.append_column("person", pa.array(owners)).append_column("_unit", pa.array([f"p{o}" for o in owners]))
    table = make_spec("visits", rows, configs=people_configs, columns=tuple(people.column_names), max_per_unit=4)
    plan = planned(ReleaseSpec(tables=(table,), unit=("visits", "person")), quick)
    kept: list[Any] = []
    real = PrivateSteps.__init__

    def spy(self: PrivateSteps, layers: Any, private: Any, *args: Any, **options: Any) -> None:
        kept.append((private, options["expected"]))
        real(self, layers, private, *args, **options)

    monkeypatch.setattr(PrivateSteps, "__init__", spy)
    trained(plan)
    (private, expected), units = kept[0], len(np.unique(owners))
    assert private.count == units
    assert sorted(private.rows_of.tolist()) == sorted(
        np.minimum(np.bincount(owners), 4)[np.bincount(owners) > 0].tolist()
    )
    assert expected < 0.1 * units * 1.5


# the model


@pytest.fixture
def model(spec: ReleaseSpec, quick: MarginalOptions, method: Method) -> TrainedModel:
    return trained(planned(spec, quick, method=method)).model


def test_a_stored_model_samples_the_same_in_a_fresh_process(model: TrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    here = model.sample(rows=300, seed=3, out=tmp_path / "here")["people"]
    code = (
        "import sys; from pathlib import Path\n"
        "from synth_assets.synthesis.dpsgd.model import load_trained\n"
        "load_trained(Path(sys.argv[1]), device='cpu').sample(rows=300, seed=3, out=Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "model"), str(tmp_path / "there")], check=True)
    assert hash_folder(here) == hash_folder(tmp_path / "there" / "people")
    made = pq.read_table(here)
    assert made.num_rows == 300
    assert made.schema.field("amount").type == pa.float64()


def test_a_model_with_other_weights_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    file = tmp_path / "network.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="hash"):
        load_trained(tmp_path)
    file.unlink()
    with pytest.raises(MissingArtifactError):
        load_trained(tmp_path)


def test_rows_are_made_as_wanted_and_by_default_about_as_many_as_there_were(
    model: TrainedModel, tmp_path: Path
) -> None:
    assert pq.read_table(model.sample(rows=0, seed=1, out=tmp_path / "none")["people"]).num_rows == 0
    about = pq.read_table(model.sample(seed=1, out=tmp_path / "about")["people"]).num_rows
    assert 1900 < about < 2100


def test_shares_of_the_sample_are_the_noisy_ones(spec: ReleaseSpec, quick: MarginalOptions, method: Method) -> None:
    made = trained(planned(spec, quick, method=method, tilt_rounds=6, tilt_rows=4000)).model
    drawn = made.network.draw(8000, np.random.default_rng(2))
    for name, noisy in zip(made.network.layout.order, made.network.layout.shares, strict=True):
        found = np.bincount(drawn[name], minlength=len(noisy)) / 8000
        assert np.abs(found - noisy).sum() / 2 < 0.06, name


def test_no_value_of_a_single_row_is_in_any_file_or_note(
    make_spec: Callable[..., TableSpec], people: pa.Table, quick: MarginalOptions, tmp_path: Path, method: Method
) -> None:
    group = [CANARY, *people["group"].to_pylist()[1:]]
    score = [987654321, *people["score"].to_pylist()[1:]]
    rows = people.set_column(0, "group", pa.array(group)).set_column(1, "score", pa.array(score))
    done = trained(planned(ReleaseSpec(tables=(make_spec("people", rows),)), quick, method=method))
    done.model.save(tmp_path / "model")
    done.model.sample(seed=1, out=tmp_path / "model" / "sample")
    for file in (p for p in (tmp_path / "model").rglob("*") if p.is_file() and p.suffix != ".parquet"):
        assert CANARY.encode() not in file.read_bytes()
        assert b"987654321" not in file.read_bytes()
    made = pq.read_table(tmp_path / "model" / "sample" / "people")
    assert CANARY not in made["group"].to_pylist()
    assert CANARY not in json.dumps(done.measured.notes)


def test_a_stored_model_is_its_plan_and_noisy_numbers_and_nothing_else(
    spec: ReleaseSpec, quick: MarginalOptions, tmp_path: Path, method: Method
) -> None:
    plan, folder = planned(spec, quick, method=method), tmp_path / "model"
    trained(plan).model.save(folder)
    assert scan_trained(folder, plan) == ()
    assert any("plan" in w for w in scan_trained(folder, planned(spec, quick, method=method, steps=4)))
    (folder / "rows.csv").write_text("a,1")
    assert len(scan_trained(folder, plan)) == 1
    (folder / "rows.csv").unlink()
    record = json.loads((folder / "network.json").read_text())
    (folder / "network.json").write_text(json.dumps({**record, "first_row": 1}, indent=1, sort_keys=True))
    assert len(scan_trained(folder, plan)) == 1
    (folder / "network.json").unlink()
    assert scan_trained(folder, plan) == ("the folder cannot be read as a network.",)


# charged


@pytest.fixture
def ledger(tmp_path: Path) -> BudgetLedger:
    return BudgetLedger(open_ledger_store(f"sqlite:///{tmp_path}/budget.db"))


def charge(budget: float = 10.0) -> Charge:
    return Charge("people", "row", budget, 1e-5, "people/model_dp_tvae", "run-1", 0, "a" * 64)


def job(spec: ReleaseSpec, epsilon: float = 2.0, method: Method = "dp_tvae", **changes: Any) -> TrainingJob:
    options = quick_options(method, **{"warm_start": False, **changes})
    return TrainingJob(method, spec, epsilon, 1e-6, options, 3)


def test_a_training_is_reserved_settled_and_reported(
    spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path, method: Method
) -> None:
    chosen = job(spec, method=method)
    report = train_charged(
        chosen, charge=charge(), ledger=ledger, engine=ENGINE, out=tmp_path / "out", repetitions=10_000
    )
    release = ledger.status("people").releases[0]
    assert (release.state, release.outcome) == ("settled", "done")
    assert report.mechanism == method
    assert report.sampling_rate == 0.1
    assert 0.99 * 2 < report.spent.epsilon <= 2
    assert report.crosscheck.epsilon_lower <= report.spent.epsilon <= report.crosscheck.epsilon_upper * 1.01
    assert any("DP-SGD: 3 steps" in note for note in report.notes)
    assert report.empirical is not None
    assert report.empirical.passed
    assert 0 < report.epsilon_lower_bound <= report.spent.epsilon
    gradients, sample = report.canaries
    assert (gradients.scored_on, gradients.gates, gradients.passed) == ("noisy gradients", True, True)
    assert (sample.scored_on, sample.gates) == ("sample", False)
    assert gradients.epsilon_claimed == pytest.approx(epsilon_spent(report.events[-1:], 1e-7), rel=1e-6)
    found = ledger.find(training_key(chosen, charge()))
    assert found is not None
    assert found.reference == hash_folder(tmp_path / "out")


def test_a_budget_that_does_not_suffice_is_refused_before_data_are_read(
    spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path
) -> None:
    spec.tables[0].path.joinpath("part-00000.parquet").unlink()
    with pytest.raises(BudgetExceededError):
        train_charged(
            job(spec), charge=charge(1.0), ledger=ledger, engine=ENGINE, out=tmp_path / "out", repetitions=10_000
        )
    assert ledger.status("people").releases == ()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("at", ["first", "later"])
def test_a_training_that_fails_costs_what_was_reserved_and_leaves_no_model(
    spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    real = PrivateSteps.step

    def broken(self: PrivateSteps, loss: Any) -> None:
        if at == "first" or self.taken == 2:
            raise UnexpectedError("stopped")
        real(self, loss)

    monkeypatch.setattr(PrivateSteps, "step", broken)
    with pytest.raises(UnexpectedError):
        train_charged(
            job(spec), charge=charge(), ledger=ledger, engine=ENGINE, out=tmp_path / "out", repetitions=10_000
        )
    status = ledger.status("people")
    assert (status.releases[0].state, status.releases[0].outcome) == ("settled", "failed")
    assert status.spent > 1.5  # at the delta of the budget, which is larger
    assert not (tmp_path / "out").exists()


def test_a_fault_before_the_first_read_costs_nothing(
    spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise UnexpectedError("stopped")

    monkeypatch.setattr(train_module, "measure_release", broken)
    with pytest.raises(UnexpectedError):
        train_charged(
            job(spec), charge=charge(), ledger=ledger, engine=ENGINE, out=tmp_path / "out", repetitions=10_000
        )
    assert ledger.status("people").releases[0].state == "released"
    assert ledger.status("people").spent == 0


def test_another_seed_is_the_same_measurement_and_other_numbers_are_not(spec: ReleaseSpec) -> None:
    key = training_key(job(spec), charge())
    assert training_key(TrainingJob("dp_tvae", spec, 2.0, 1e-6, job(spec).options, 99), charge()) == key
    assert training_key(job(spec, steps=4), charge()) != key
    assert training_key(job(spec, epsilon=2.5), charge()) != key
    assert training_key(job(spec, method="dp_ctgan"), charge()) != key


# the attack before it reads


class Faulty(SystemNoise):
    """Noise with a fault."""

    secure = True

    def __init__(self, *, scale: float = 1.0, rate: float = 1.0) -> None:
        self.scale, self.rate = scale, rate

    def gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return super().gaussian(sigma=sigma, size=size) * self.scale

    def sample(self, *, rate: float, size: int) -> np.ndarray:
        return super().sample(rate=min(1.0, rate * self.rate), size=size)


@pytest.fixture
def attacked(spec: ReleaseSpec, quick: MarginalOptions) -> TrainingPlan:
    return planned(spec, quick, warm_start=False, share=0.97, steps=20, epsilon=4.0)


def test_honest_steps_pass_and_show_a_part_of_the_claim(attacked: TrainingPlan) -> None:
    check = attack_training(attacked, SystemNoise(), repetitions=10_000)
    steps = check.noise[-1]
    assert check.passed
    assert check.epsilon_claimed == pytest.approx(epsilon_spent(attacked.events, attacked.delta))
    assert 0.2 * steps.mu_claimed < steps.mu_lower <= steps.mu_claimed
    assert 0 < check.epsilon_lower < check.epsilon_claimed
    assert "repetitions" in bound_words(check)


@pytest.mark.parametrize("fault", [{"scale": 1e-6}, {"scale": 0.5}, {"rate": 4.0}])
def test_steps_with_less_noise_or_more_frequent_units_are_refused_before_reading(
    attacked: TrainingPlan, spec: ReleaseSpec, ledger: BudgetLedger, tmp_path: Path, fault: dict[str, float]
) -> None:
    assert not attack_training(attacked, Faulty(**fault), repetitions=10_000).passed
    chosen = job(spec, share=0.97, steps=20, epsilon=4.0)
    with pytest.raises(CheckFailedError, match="No data was read"):
        train_charged(
            chosen, charge=charge(), ledger=ledger, engine=ENGINE, out=tmp_path / "out", noise=Faulty(**fault),
            repetitions=10_000,
        )  # fmt: skip
    assert ledger.populations() == ()


def test_a_fault_that_begins_after_the_attack_is_seen_in_the_noisy_gradients_of_the_run(
    spec: ReleaseSpec, quick: MarginalOptions, ledger: BudgetLedger, tmp_path: Path, attacked: TrainingPlan
) -> None:
    chosen = job(spec, share=0.97, steps=20, epsilon=4.0)
    honest = attack_training(attacked, SystemNoise(), repetitions=10_000)
    report = train_charged(
        chosen, charge=charge(), ledger=ledger, engine=ENGINE, out=tmp_path / "out", noise=Faulty(scale=0.3),
        prepared=PreparedTraining(planned_of(chosen), honest),
    )  # fmt: skip
    gradients, _ = report.canaries
    assert not gradients.passed
    assert not canary_outcome(report.canaries).passed
