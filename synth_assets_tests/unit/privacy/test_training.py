"""Plans of DP-SGD: arithmetic by hand, and every judgement fires."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.records import GaussianEvent
from synth_assets.privacy.training import plan_training, validate_training

USUAL: dict[str, Any] = {"units": 10_000, "batch": 500, "epochs": 20, "epsilon": 1.0, "delta": 1e-6}


def test_steps_and_sampling_rate_follow_from_batch_and_epochs() -> None:
    plan = plan_training(**USUAL)
    assert (plan.sampling_rate, plan.steps) == (0.05, 400)
    assert 0.995 <= plan.epsilon <= 1
    assert plan.epsilon == epsilon_spent([plan.event], 1e-6)
    assert plan.event.noise_multiplier == plan.noise_multiplier


def test_a_warm_start_takes_its_share_of_the_same_budget() -> None:
    beside = (GaussianEvent(sigma=30.0, count=20),)
    plan = plan_training(**USUAL, beside=beside)
    assert plan.noise_multiplier > plan_training(**USUAL).noise_multiplier
    assert plan.epsilon == epsilon_spent([*beside, plan.event], 1e-6)


@settings(max_examples=10)
@given(st.integers(2, 10**6), st.floats(0.01, 1), st.floats(0.5, 50))
def test_the_expected_number_of_passes_is_at_least_what_was_asked_for(units: int, share: float, epochs: float) -> None:
    batch = max(1, round(share * units))
    plan = plan_training(units=units, batch=batch, epochs=epochs, epsilon=2.0, delta=1e-7)
    assert epochs <= plan.steps * plan.sampling_rate < epochs + plan.sampling_rate * 1.000001


@pytest.mark.parametrize("changes", [{"batch": 0}, {"batch": 10_001}, {"epochs": 0}, {"clipping": 0}, {"units": 0}])
def test_numbers_that_are_no_training_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="a training needs"):
        plan_training(**{**USUAL, **changes})


def test_a_usual_training_is_valid_without_warnings_and_is_recommended_as_it_is() -> None:
    judged = validate_training(**USUAL)
    assert (judged.valid, judged.errors, judged.warnings) == (True, (), ())
    assert judged.recommended == {"epsilon": 1.0, "delta": 1e-6, "batch": 500, "epochs": 20, "clipping": 1.0}
    assert judged.predicted_epsilon == plan_training(**USUAL).epsilon
    assert judged.level == "strong"


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"batch": 0}, "batch", "between 1 and the 10,000 units"),
        ({"batch": 10_001}, "batch", "between 1 and the 10,000 units"),
        ({"epochs": -1}, "epochs", "greater than 0"),
        ({"epochs": float("nan")}, "epochs", "greater than 0"),
        ({"clipping": 0}, "clipping", "greater than 0"),
        ({"units": 0}, "units", "at least 1"),
        ({"delta": 1e-4}, "delta", "not below 1/n"),
        ({"epsilon": 0}, "epsilon", "greater than 0"),
        ({"beside": (GaussianEvent(sigma=1.0),)}, "epsilon", "no noise"),
    ],
)
def test_what_makes_a_training_unusable_is_an_error_with_its_reason(
    changes: dict[str, Any], key: str, words: str
) -> None:
    judged = validate_training(**{**USUAL, **changes})
    assert not judged.valid
    assert judged.predicted_epsilon is None
    assert [f for f in judged.errors if f.key == key and words in f.message]


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"batch": 20}, "batch", "is small"),
        ({"batch": 5000}, "batch", "hardly any privacy is gained"),
        pytest.param(
            {"units": 1_000_000, "delta": 1e-8}, "batch", "a larger batch gives a better model", marks=pytest.mark.slow
        ),
        ({"epochs": 0.5}, "epochs", "never seen"),
        ({"epochs": 400}, "epochs", "every further pass"),
        pytest.param(
            {"units": 1_000_000, "batch": 100, "epochs": 20, "delta": 1e-8},
            "epochs",
            "steps take long",
            marks=pytest.mark.slow,
        ),
        ({"clipping": 50}, "clipping", "unusual"),
        ({"epsilon": 0.11, "epochs": 200, "batch": 2000}, "epochs", "stands against a sum"),
        ({"epsilon": 60.0, "batch": 64}, "epsilon", "hardly hides"),
        ({"epsilon": 60.0}, "epsilon", "above 10"),
        ({"delta": 5e-5}, "delta", "within a factor of 10"),
    ],
)
def test_what_is_unwise_is_a_warning_with_its_reason(changes: dict[str, Any], key: str, words: str) -> None:
    judged = validate_training(**{**USUAL, **changes})
    assert judged.valid
    assert [f for f in judged.warnings if f.key == key and words in f.message], judged.warnings


def test_what_is_recommended_in_its_place_is_valid_without_warnings() -> None:
    bad = {"units": 5000, "batch": 1, "epochs": 900, "epsilon": 300.0, "delta": 0.5, "clipping": 99.0}
    better = validate_training(**bad).recommended
    again = validate_training(units=5000, **{**better, "batch": int(better["batch"])})
    assert (again.errors, again.warnings) == ((), ())
