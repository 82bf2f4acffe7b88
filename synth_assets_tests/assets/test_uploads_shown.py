"""The commands that look and search know uploads, by the names of their content and never by those of the dropped files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from synth_assets.cli.app import run as command
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain
from synth_assets_tests.assets.test_automation import people_csv
from synth_assets_tests.assets.test_uploads import Ticks, run


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        home = tmp_path / "home"
        with chain.standing_in(home):
            code = command([*arguments, "--home", str(home), "--json"])
        out = capsys.readouterr().out
        assert "Jane" not in out
        return code, json.loads(out)

    return call


def test_an_upload_is_listed_shown_and_searched_for_leaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    (home / "configs").mkdir(parents=True)
    (home / "configs" / "uploads.yaml").write_text("spend: false\n")
    ticks = Ticks(home, monkeypatch)
    people_csv(home / "inbox" / "Jane Roe.csv")
    ticks()
    (request,) = ticks().run_requests
    upload = request.partition_key
    code, told = ask("leakscan", upload)
    assert (code, told["error"]["code"]) == (2, "missing_artifact")
    assert run(home, upload).success

    assert ask("datasets", "list") == (0, [])
    with chain.standing_in(home):
        command(["datasets", "list", "--home", str(home)])
    assert "Uploads: 1. --uploads lists them." in capsys.readouterr().out
    code, (listed,) = ask("datasets", "list", "--uploads")
    assert (code, listed["name"], listed["last_run"]["status"]) == (0, upload, "success")
    _, assets = ask("datasets", "show", upload)
    states = {a["name"]: a for a in assets}
    assert states["raw_upload"]["rows"] == states["masked_upload"]["rows"] > 0
    assert states["raw_upload"]["run_id"] and states["report"]["made_at"] is None
    assert ask("models", "list") == (0, [])
    _, (model,) = ask("models", "list", "--uploads")
    assert (model["name"], model["made_at"]) == (f"{upload}/dp_marginals", None)
    assert ask("models", "show", f"{upload}/dp_marginals") == (0, model)
    assert ask("datasets", "show", f"{upload}0")[0] == 2

    code, clean = ask("leakscan", upload)
    assert (code, clean["leaks"]) == (0, [])
    (column,) = [c for c in clean["columns"] if c.endswith(".email")]
    store = chain.store(home)
    raw = store.path(store.current(Zone.RESTRICTED, upload, "raw_upload"))
    leaked = pq.ParquetDataset(sorted(raw.glob("part-*.parquet"))).read(columns=["email"])["email"][0].as_py()
    (home / "var" / "dagster" / "note.txt").write_text(f"write to {leaked}")
    for arguments, label in ((("leakscan", upload), column), (("leakscan",), f"{upload}/{column}")):
        code, found = ask(*arguments)
        assert (code, [k["label"] for k in found["leaks"]]) == (3, [label])
        assert leaked not in json.dumps(found)
