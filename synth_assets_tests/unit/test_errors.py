"""The boundary withholds foreign texts, and our own errors survive pickling and say where and what to do."""

import asyncio
import multiprocessing
import traceback

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from synth_assets import errors
from synth_assets.assets.boundary import stage_boundary
from synth_assets.errors import BudgetExceededError, ConfigError, SynthAssetsError, UnexpectedError, withhold_values
from synth_assets.tables.engine import Engine

CANARY = "canary@example.org"


def every_error() -> list[type[SynthAssetsError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SynthAssetsError)]


@pytest.fixture(scope="module")
def echoed():
    """Each error, and what came back of it from another process."""
    told = {"file": "a.yaml", "row": 3, "column": "age", "key": "budget.epsilon", "remedy": "Do this."}
    sent = [kind("it is wrong.", **told) for kind in every_error()]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        back = [pool.apply(_echo, (error,)) for error in sent]
        pool.close()  # to terminate would need SIGTERM, which is ignored below a shell that ignores interrupts
        pool.join()
    return {type(error): (error, found) for error, found in zip(sent, back, strict=True)}


@pytest.mark.parametrize("kind", every_error())
def test_every_error_keeps_its_fields_across_processes(kind, echoed):
    error, back = echoed[kind]
    assert type(back) is kind
    assert back.as_dict() == error.as_dict()
    assert str(back) == "a.yaml, line 3, column 'age', key 'budget.epsilon': it is wrong. Do this."


def _echo(error):
    return error


@pytest.mark.parametrize(("kind", "code"), [(ConfigError, 2), (BudgetExceededError, 4), (UnexpectedError, 1)])
def test_exit_codes_mean_what_the_manual_says(kind, code):
    assert kind.exit_code == code


def test_a_foreign_exception_leaves_its_text_behind():
    with pytest.raises(UnexpectedError) as caught, withhold_values("the step"):
        int(CANARY)
    text = "".join(traceback.format_exception(caught.value))
    assert CANARY not in text
    assert "ValueError in the step" in text


def test_an_asset_in_which_a_library_ends_the_process_fails_with_words_and_is_not_retried():
    with pytest.raises(dg.Failure) as caught, stage_boundary("demo/raw"):
        raise SystemExit(CANARY)
    assert "SystemExit in demo/raw" in caught.value.description
    assert CANARY not in caught.value.description
    assert not caught.value.allow_retries


class PanicError(BaseException):
    """As extensions in Rust raise it: no `Exception`."""


@pytest.mark.parametrize("kind", [SystemExit, PanicError])
def test_a_library_that_ends_the_process_or_panics_is_a_foreign_error(kind):
    with pytest.raises(UnexpectedError) as caught, withhold_values("the step"):
        raise kind(CANARY)
    text = "".join(traceback.format_exception(caught.value))
    assert CANARY not in text
    assert f"{kind.__name__} in the step" in text
    assert (caught.value.remedy is not None) == (kind is SystemExit)


@pytest.mark.parametrize(
    "kind", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, DagsterExecutionInterruptedError]
)
def test_interrupts_pass_the_boundary(kind):
    with pytest.raises(kind), withhold_values("the step"):
        raise kind


def test_without_the_boundary_the_text_does_leak():
    with pytest.raises(ValueError, match=CANARY):
        int(CANARY)


def test_our_own_error_passes_without_its_cause():
    with pytest.raises(ConfigError) as caught, withhold_values("the step"):
        try:
            int(CANARY)
        except ValueError as error:
            raise ConfigError("it is wrong.") from error
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["OutOfMemoryException", "MemoryError"])
def test_a_fault_that_a_person_can_mend_says_how(name: str) -> None:
    foreign = type(name, (Exception,), {})
    with pytest.raises(UnexpectedError, match="SYNTH_ASSETS_MEMORY_LIMIT"), withhold_values("the step"):
        raise foreign("secret value")


def test_a_query_beyond_the_limit_of_the_engine_names_the_setting() -> None:
    engine = Engine(memory_limit="16MB", threads=1)
    told = pytest.raises(UnexpectedError, match="SYNTH_ASSETS_MEMORY_LIMIT")
    with told, withhold_values("the step"), engine.session() as session:
        session.backend.raw_sql("SELECT list(range) FROM range(30000000)").fetchone()
