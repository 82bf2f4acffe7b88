"""Keys in the chain: rotating one makes exactly what was made with it stale, and what it was made with shows nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from synth_assets import api
from synth_assets.api.verifying import verify_ledgers
from synth_assets.config.runtime import Settings
from synth_assets.storage.secrets import FILE_VARIABLE, KEY_VARIABLE, SECRET_VARIABLE
from synth_assets_tests import chain
from synth_assets_tests.assets.test_staleness import stale

STAGES = ("raw", "profile", "pii_classification", "masked", "split")
KEYED = {"masked_people", "split"}
LAST = ("Abel", "Brandt", "Castle", "Dorn", "Ernst", "Fuller", "Graf", "Holm")


def _ssn(i: int) -> str:
    return f"{200 + i % 500}-{10 + i % 80}-{4000 + i}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two small datasets about people, materialised as far as keys reach."""
    home = tmp_path_factory.mktemp("keys") / "home"
    (home / "configs" / "datasets").mkdir(parents=True)
    rows = [f"{1000 + i},{LAST[i % 8]},{_ssn(i)},{20 + i % 60},{'yes' if i % 3 else 'no'}" for i in range(120)]
    (home / "configs" / "people.csv").write_text("id,last_name,ssn,age,ill\n" + "\n".join(rows) + "\n")
    for name, domain in (("one", "hospital_a"), ("two", "hospital_b")):
        table = {
            "source": {"path": "../people.csv"},
            "primary_key": "id",
            "columns": {"ssn": {"entity_type": "ssn", "action": "tokenise"}},
        }
        chain.write_dataset(
            home,
            {"name": name, "tables": {"people": table}, "policy": "dev_test", "release_domain": domain,
             "synthesizers": [{"name": "dp_marginals", "epsilon": 1, "delta": 1e-6}]},
        )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        _key(patch, "aa" * 32)
        for name in ("one", "two"):
            done = chain.run(home, name, STAGES)
            assert done.exit_code == 0, (done.error, done.failed_checks)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _key(monkeypatch, "aa" * 32)
    return chain.copy_home(made, tmp_path / "home")


def _key(patch: pytest.MonkeyPatch, key: str | None) -> None:
    for name in (KEY_VARIABLE, FILE_VARIABLE, SECRET_VARIABLE):
        patch.delenv(name, raising=False)
    if key is not None:
        patch.setenv(KEY_VARIABLE, key)


def _rotate(home: Path, patch: pytest.MonkeyPatch) -> api.Sealed:
    """Put a new key in the place of the old one, and bring the restricted zone to it."""
    _key(patch, "bb" * 32)
    old = home / "old.key"
    old.write_text("aa" * 32)
    old.chmod(0o600)
    return api.encrypt(Settings(home=home), old_key=old)


def test_a_new_key_opens_the_restricted_zone_only_after_its_keys_were_wrapped_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [_ssn(i) for i in range(120)]

    def raw() -> list[str]:
        store = chain.store(home)
        folder = store.path(store.current("restricted", "one", "raw_people"))
        return pq.read_table(sorted(folder.glob("part-*.parquet")))["ssn"].to_pylist()

    zone = home / "var" / "restricted"
    files = {p: p.read_bytes() for p in zone.rglob("*.parquet")}
    assert raw() == wanted
    _key(monkeypatch, "bb" * 32)
    failed = chain.run(home, "one", ["raw"])
    assert (failed.exit_code, failed.error["code"]) == (2, "config")
    assert "--old-key" in failed.error["remedy"]
    done = _rotate(home, monkeypatch)
    assert (done.artifacts, done.unchanged) == (8, 0)  # raw, profile, classification and split of two datasets
    assert raw() == wanted
    assert {p: p.read_bytes() for p in zone.rglob("*.parquet")} == files  # the tables themselves are as they were
    again = api.encrypt(Settings(home=home))
    assert (again.artifacts, again.notes, again.unchanged) == (0, 0, done.artifacts + done.notes)


def test_a_home_from_before_encryption_is_read_and_then_encrypted_by_one_command(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_ENCRYPTION", "off")
    shutil.rmtree(home / "var")
    assert chain.run(home, "one", STAGES).exit_code == 0
    monkeypatch.delenv("SYNTH_ASSETS_ENCRYPTION")
    zone, wanted = home / "var" / "restricted", [_ssn(i).encode() for i in range(120)]

    def shown() -> list[Path]:
        found = [p for p in zone.rglob("*") if p.is_file()]
        readable = [p for p in found if p.suffix in {".parquet", ".json"} and p.read_bytes()[:1] in {b"P", b"{"}]
        return [p for p in readable if p.name != "_key.json"]

    assert len(shown()) > 10
    done = chain.run(home, "one", STAGES)
    assert done.exit_code == 0
    assert all(asset.reused for asset in done.assets.values())
    assert api.encrypt(Settings(home=home)).artifacts == 4
    assert shown() == []
    assert not [p for p in zone.rglob("*") if p.is_file() and any(w in p.read_bytes() for w in wanted)]
    done = chain.run(home, "one", STAGES)
    assert done.exit_code == 0
    assert all(asset.reused for asset in done.assets.values())


def test_the_ledgers_are_checked_without_the_key_and_what_was_not_looked_at_is_told(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _key(monkeypatch, "aa" * 32)
    told = verify_ledgers(made)
    assert told is not None
    assert (told.whole, told.unrecorded, told.audit.remarks) == (True, (), ())
    _key(monkeypatch, None)
    told = verify_ledgers(made)
    assert told is not None
    assert told.whole
    assert "encrypted under a key that is not here" in told.audit.remarks[-1]


def test_every_file_and_folder_below_var_is_for_its_owner_alone(made: Path) -> None:
    own = [p for p in (made / "var").rglob("*") if "dagster" not in p.relative_to(made / "var").parts[:1]]
    assert {p.suffix for p in own} >= {".parquet", ".json", ".db"}
    assert [str(p) for p in own if p.stat().st_mode & 0o077] == []


def _stale(home: Path, dataset: str) -> set[str]:
    reached = {"raw_people", "profile", "pii_classification", "masked_people", "split"}
    return stale(home, dataset) & reached


def test_another_master_key_makes_the_masked_tables_and_the_split_stale_and_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _stale(home, "one") == _stale(home, "two") == set()
    _key(monkeypatch, "bb" * 32)
    assert _stale(home, "one") == _stale(home, "two") == KEYED
    _key(monkeypatch, "aa" * 32)
    assert _stale(home, "one") == set()


def test_a_run_with_the_new_key_makes_them_fresh_and_gives_other_pseudonyms(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = chain.store(home).current("masked", "one", "masked_people")
    _rotate(home, monkeypatch)
    done = chain.run(home, "one", STAGES)
    assert done.exit_code == 0, (done.error, done.failed_checks)
    assert {a.name for a in done.assets.values() if not a.reused} == KEYED
    assert _stale(home, "one") == set()
    assert _stale(home, "two") == KEYED
    after = chain.store(home).current("masked", "one", "masked_people")
    assert after.info["summary"]["key_fingerprint"] != before.info["summary"]["key_fingerprint"]


def test_another_release_domain_makes_only_the_masked_tables_of_its_dataset_stale(home: Path) -> None:
    chain.edit(home, lambda config: config.update(release_domain="hospital_a/2"), "one")
    assert _stale(home, "one") == {"masked_people"}
    assert _stale(home, "two") == set()


def test_the_first_run_of_a_home_without_a_key_ends_fresh(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _key(monkeypatch, None)
    shutil.rmtree(home / "var")
    assert not (home / "var" / "keys" / "master.key").exists()
    assert chain.run(home, "one", STAGES).exit_code == 0
    assert (home / "var" / "keys" / "master.key").exists()
    assert _stale(home, "one") == set()


def test_recipients_get_tokens_that_cannot_be_joined_and_no_value_shows_outside_the_restricted_zone(made: Path) -> None:
    store = chain.store(made)
    tokens = []
    for name in ("one", "two"):
        folder = store.path(store.current("masked", name, "masked_people"))
        tokens.append(pq.read_table(sorted(folder.glob("part-*.parquet"))).to_pydict())
    assert all(t.startswith("tok_") for t in (*tokens[0]["ssn"], *tokens[1]["ssn"]))
    for column in ("ssn", "id", "last_name"):
        assert tokens[0][column] != tokens[1][column]
    assert not set(tokens[0]["ssn"]) & set(tokens[1]["ssn"])
    assert not set(tokens[0]["id"]) & set(tokens[1]["id"])
    wanted = [_ssn(i).encode() for i in range(120)]
    raw = made / "var" / "restricted"
    searched = [p for p in (made / "var").rglob("*") if p.is_file() and not p.is_relative_to(raw)]
    assert any(p.suffix == ".db" for p in searched)
    assert not [str(p) for p in searched if any(w in p.read_bytes() for w in wanted)]
    assert (made / "var" / "vault" / "vault.db").is_file()


def test_no_form_of_the_key_shows_in_the_home(made: Path) -> None:
    forms = (b"aa" * 32, bytes.fromhex("aa" * 32))
    files = [p for p in made.rglob("*") if p.is_file()]
    assert not [str(p) for p in files if any(f in p.read_bytes() for f in forms)]
