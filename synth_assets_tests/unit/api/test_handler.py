"""The audit as one function: the answer of the published example, every error with its code, and nothing left behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from synth_assets.api import handler
from synth_assets.api.requests import read_request
from synth_assets.errors import InputError
from synth_assets.storage import rooms
from synth_assets.storage.rooms import temporary
from synth_assets_tests.chain import ROOT
from synth_assets_tests.unit.api.conftest import SIGNATURE

LEVELS = {"low", "medium", "high", None}


class Context:
    """What Lambda hands to its handler besides the event."""

    function_name = "synth-assets-audit"
    aws_request_id = "b1946ac9-2492-4d2a-8d6e-000000000000"
    memory_limit_in_mb = "4096"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where the function may write."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv(rooms.VARIABLE, str(folder / "rooms"))
    return folder


def left(scratch: Path) -> list[Path]:
    """Files that were left; the lock of this process' room stays until it ends."""
    return [p for p in scratch.rglob("*") if p.is_file() and p.suffix != ".lock"]


def posted(request: object, *, encoded: bool = False) -> dict[str, Any]:
    """The event of a function URL."""
    body = request if isinstance(request, str) else json.dumps(request)
    return {
        "version": "2.0",
        "rawPath": "/",
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "headers": {"content-type": "application/json"},
        "body": base64.b64encode(body.encode()).decode() if encoded else body,
        "isBase64Encoded": encoded,
    }


def test_the_published_request_is_answered_in_the_published_form(links: str, scratch: Path) -> None:
    request = {
        "synthetic_data_url": f"{links}/signed.csv?{SIGNATURE}",
        "real_data_url": f"{links}/real.csv?{SIGNATURE}",
        "holdout_data_url": f"{links}/holdout.csv",
        "protected_attributes": ["sex"],
        "target": "ill",
    }
    answer = handler.lambda_handler(request, Context())
    assert set(answer["module_scores"]) >= {"privacy", "fairness", "fidelity"}
    assert all(0 <= answer["module_scores"][m] <= 1 for m in ("privacy", "fairness", "fidelity"))
    assert 0 <= answer["overall_score"] <= 1
    for module in ("privacy", "fairness", "fidelity"):
        found = answer["detailed_findings"][module]
        assert found["risk_level"] in {"low", "medium", "high"}
        assert found["message"].endswith(".")
    assert (answer["form"], answer["format_version"]) == ("public", 2)
    assert "CANARY" not in json.dumps(answer)
    assert left(scratch) == []
    again = handler.handle(request)
    drop = {"seconds"}
    assert {k: v for k, v in again.items() if k not in drop} == {k: v for k, v in answer.items() if k not in drop}


def test_cut_offs_and_weights_of_the_request_are_used_and_quoted(links: str) -> None:
    request = {
        "synthetic_data_url": f"{links}/synthetic.csv",
        "real_data_url": f"{links}/real.csv",
        "levels": {"tvd": {"medium": 0.001, "high": 0.0015}},
        "weights": {"privacy": 0, "fairness": 0, "fidelity": 1},
    }
    answer = handler.handle(request)
    assert answer["detailed_findings"]["fidelity"]["risk_level"] == "high"
    assert "0.0015 or more" in answer["detailed_findings"]["fidelity"]["message"]
    assert answer["overall_score"] == answer["module_scores"]["fidelity"]


def test_without_real_rows_it_says_what_it_could_not_do(links: str) -> None:
    answer = handler.handle({"synthetic_data_url": f"{links}/synthetic.csv"})
    assert answer["overall_score"] is None
    for module in ("privacy", "fidelity", "utility", "fairness"):
        assert answer["module_scores"][module] is None
        assert answer["reasons"][module]


def test_real_rows_without_a_hold_out_give_fidelity_and_no_attack(links: str) -> None:
    answer = handler.handle({"synthetic_data_url": f"{links}/synthetic.csv", "real_data_url": f"{links}/real.csv"})
    assert answer["module_scores"]["fidelity"] > 0.5
    assert answer["module_scores"]["privacy"] is None
    assert "held-out rows" in answer["reasons"]["privacy"]


@pytest.mark.parametrize("encoded", [False, True])
def test_an_event_with_a_body_is_answered_with_a_status(links: str, encoded: bool) -> None:
    answer = handler.lambda_handler(
        posted({"synthetic_data_url": f"{links}/synthetic.csv"}, encoded=encoded), Context()
    )
    assert answer["statusCode"] == 200
    assert answer["headers"] == {"content-type": "application/json", "cache-control": "no-store"}
    assert json.loads(answer["body"])["form"] == "public"


@pytest.mark.parametrize(
    ("path", "code", "status", "words"),
    [
        ("expired.csv", "link_expired", 422, "fresh link"),
        ("closed.csv", "access_refused", 422, "refuses"),
        ("gone.csv", "source", 422, "no such file"),
        ("page.csv", "source", 422, "HTML page"),
        ("empty.csv", "source", 422, "empty"),
        ("header.csv", "source", 422, "no rows"),
        ("large.csv", "too_large", 422, "SYNTH_ASSETS_DOWNLOAD_LIMIT"),
        ("inside.csv", "private_address", 422, "private network"),
        ("down.csv", "unavailable", 502, "HTTP 503"),
    ],
)
def test_every_bad_link_is_one_clear_error_without_what_signs_it(
    links: str, scratch: Path, monkeypatch: pytest.MonkeyPatch, path: str, code: str, status: int, words: str
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_DOWNLOAD_LIMIT", "1MB")
    answer = handler.lambda_handler(
        posted({"synthetic_data_url": f"{links}/synthetic.csv", "real_data_url": f"{links}/{path}?{SIGNATURE}"})
    )
    error = json.loads(answer["body"])["error"]
    assert (answer["statusCode"], error["code"]) == (status, code)
    assert words in f"{error['message']} {error['remedy']}"
    assert error["file"].endswith(path)
    assert "CANARY" not in json.dumps(answer)
    assert left(scratch) == []


def test_objects_of_a_bucket_are_read_and_a_refusal_is_told(
    tables: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto = pytest.importorskip("moto", reason="moto is not installed")
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="clinic")
        for name in ("synthetic", "real"):
            client.put_object(Bucket="clinic", Key=f"{name}.csv", Body=(tables / f"{name}.csv").read_bytes())
        request = {"synthetic_data_url": "s3://clinic/synthetic.csv", "real_data_url": "s3://clinic/real.csv"}
        assert handler.handle(request)["module_scores"]["fidelity"] > 0.5
        gone = handler.lambda_handler({**request, "real_data_url": "s3://clinic/gone.csv"})
    assert gone["error"]["code"] == "source"
    assert left(scratch) == []


def test_a_private_host_is_refused_unless_it_is_named(served: str) -> None:
    answer = handler.lambda_handler({"synthetic_data_url": f"{served}/synthetic.csv?{SIGNATURE}"})
    assert answer["error"]["code"] == "private_address"
    assert "CANARY" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("more", "words", "column"),
    [
        ({"target": "height"}, "no such column", "height"),
        ({"protected_attributes": ["height"]}, "no such column", "height"),
        ({"real_data_url": "other.csv"}, "no column in common", None),
        ({"holdout_data_url": "holdout.csv"}, "control group", None),
    ],
)
def test_tables_that_cannot_be_judged_are_named(
    links: str, more: dict[str, Any], words: str, column: str | None
) -> None:
    given = {k: f"{links}/{v}" if k.endswith("_url") else v for k, v in more.items()}
    answer = handler.lambda_handler(posted({"synthetic_data_url": f"{links}/synthetic.csv", **given}))
    error = json.loads(answer["body"])["error"]
    assert (answer["statusCode"], error["column"]) == (422, column)
    assert words in error["message"]


@pytest.mark.parametrize("path", ["one.csv", "semicolons.csv"])
def test_other_separators_and_one_row_are_read(links: str, path: str) -> None:
    answer = handler.handle(
        {"synthetic_data_url": f"{links}/{path}", "real_data_url": f"{links}/real.csv", "protected_attributes": ["sex"]}
    )
    assert answer["inputs"]["synthetic_rows"] == (1 if path == "one.csv" else 400)


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        ({}, "synthetic_data_url"),
        ({"synthetic_data_url": "https://h.example/a.csv", "url": "x"}, "url"),
        ({"synthetic_data_url": 3}, "synthetic_data_url"),
        ({"synthetic_data_url": ""}, "synthetic_data_url"),
        ({"synthetic_data_url": "https://h.example/" + "a" * 9_000}, "synthetic_data_url"),
        ({"synthetic_data_url": "/etc/passwd"}, "synthetic_data_url"),
        ({"synthetic_data_url": "file:///etc/passwd"}, "synthetic_data_url"),
        ({"synthetic_data_url": "postgresql://h/d"}, "synthetic_data_url"),
        ({"synthetic_data_url": "https://h.example/a.csv", "real_data_url": "real.csv"}, "real_data_url"),
        ({"synthetic_data_url": "https://h.example/a.csv", "protected_attributes": "sex"}, "protected_attributes"),
        ({"synthetic_data_url": "https://h.example/a.csv", "protected_attributes": ["s"] * 51}, "protected_attributes"),
        ({"synthetic_data_url": "https://h.example/a.csv", "seed": -1}, "seed"),
        ({"synthetic_data_url": "https://h.example/a.csv", "limits": {"attack_rows": 10**9}}, "limits"),
        ({"synthetic_data_url": "https://h.example/a.csv", "levels": {"tvd": {"medium": 0.5}}}, "levels.tvd.high"),
        ({"synthetic_data_url": "https://h.example/a.csv", "levels": {"tvd": {"medium": 1, "high": 0}}}, "levels.tvd"),
        ({"synthetic_data_url": "https://h.example/a.csv", "weights": {"utility": 1}}, "weights.utility"),
    ],
)
def test_a_malformed_request_is_refused_with_its_key_and_no_value(request_: dict[str, Any], key: str) -> None:
    answer = handler.lambda_handler(posted(request_), Context())
    error = json.loads(answer["body"])["error"]
    assert (answer["statusCode"], error["code"], error["key"]) == (400, "bad_input", key)
    assert "passwd" not in answer["body"]
    assert handler.lambda_handler(request_, Context()) == {"error": error}


@pytest.mark.parametrize("body", ["", "nope", "[1]", "null", "x" * 70_000])
def test_a_body_that_is_no_request_is_refused(body: str) -> None:
    answer = handler.lambda_handler(posted(body))
    assert answer["statusCode"] == 400
    assert "JSON object" in json.loads(answer["body"])["error"]["message"]
    wrong = {**posted(body), "body": "%%%", "isBase64Encoded": True}
    assert handler.lambda_handler(wrong)["statusCode"] == 400


def test_an_unexpected_fault_is_answered_without_its_text(
    links: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quote(*_: object, **__: object) -> None:
        raise ValueError("could not convert 'CANARY'")

    monkeypatch.setattr("synth_assets.audit.tables.audit_tables", quote)
    answer = handler.lambda_handler(posted({"synthetic_data_url": f"{links}/synthetic.csv"}))
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["error"]["code"] == "unexpected"
    assert "CANARY" not in answer["body"]
    assert left(scratch) == []


def test_what_a_killed_invocation_left_is_removed_by_the_next_one_of_its_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with temporary() as room:
        base = room.parent.parent
    (base / "1-dead").mkdir(mode=0o700)
    (base / "1-dead" / "real.csv").write_text("a\n1\n")
    (base / "1-dead.lock").touch(mode=0o600)  # which nobody holds
    monkeypatch.setattr(rooms.Room, "_open", {})  # as in a new process
    with temporary():
        assert not (base / "1-dead").exists()


def test_a_request_shows_which_addresses_may_be_signed() -> None:
    request = read_request({"synthetic_data_url": "https://h.example/a.csv?sig=1", "real_data_url": "what?.csv"})
    assert request.signed == ("synthetic_data_url",)
    with pytest.raises(InputError, match="not known"):
        read_request({"synthetic_data_url": "a.csv", "limits": {}})


WATCHED = """
import json, sys
from synth_assets.api.handler import main
code = main()
names = {name.partition(".")[0] for name in sys.modules}
sys.stderr.write(json.dumps(sorted(names)))
sys.exit(code)
"""


def test_the_module_answers_an_event_without_dagster_and_without_a_home(served: str, tmp_path: Path) -> None:
    home, temporary = tmp_path / "nobody", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    settings = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(home), "TMPDIR": str(temporary),
        "OMP_NUM_THREADS": "1", "SYNTH_ASSETS_PRIVATE_HOSTS": "127.0.0.1",
    }  # fmt: skip
    event = {
        "synthetic_data_url": f"{served}/synthetic.csv", "real_data_url": f"{served}/real.csv",
        "holdout_data_url": f"{served}/holdout.csv", "target": "ill", "protected_attributes": ["sex"],
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WATCHED], input=json.dumps(event), capture_output=True, text=True, check=False,
        env=settings, cwd=home, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["module_scores"]["utility"] is not None
    loaded = set(json.loads(done.stderr))
    assert not loaded & {"dagster", "torch", "sdv", "opacus", "great_expectations", "typer", "sqlalchemy"}
    assert not list(home.iterdir())
    assert not list(temporary.iterdir())
    wrong = subprocess.run(
        [sys.executable, "-m", "synth_assets.api.handler"], input="nope", capture_output=True, text=True, check=False,
        env=settings, cwd=home, timeout=60,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["statusCode"] == 400
