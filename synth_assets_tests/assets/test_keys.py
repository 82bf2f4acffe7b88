"""Keys in the chain: rotating one makes exactly what was made with it stale, and what it was made with shows nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    _key(monkeypatch, "bb" * 32)
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
    assert not (home / "var" / "keys" / "master.key").exists()
    assert chain.run(home, "one", STAGES).exit_code == 0
    assert (home / "var" / "keys" / "master.key").exists()
    assert _stale(home, "one") == set()


def test_recipients_get_tokens_that_cannot_be_joined_and_no_value_shows_outside_the_restricted_zone(made: Path) -> None:
    import pyarrow.parquet as pq

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
