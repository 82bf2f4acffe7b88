"""Hashes delimit their parts and see every byte and name."""

from hypothesis import given
from hypothesis import strategies as st

from synth_assets.seeds import child_seed
from synth_assets.storage.hashing import hash_folder, hash_json, hash_parts


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_lists_of_parts_hash_differently(a, b):
    assert (hash_parts(*a) == hash_parts(*b)) == (a == b)


def test_the_order_of_keys_does_not_matter():
    assert hash_json({"a": 1, "b": 2}) == hash_json({"b": 2, "a": 1})


def test_a_folder_hash_sees_names_and_bytes(tmp_path):
    (tmp_path / "a").write_text("1")
    first = hash_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = hash_folder(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, hash_folder(tmp_path)}) == 3


@given(st.integers(0, 2**62), st.text(), st.text())
def test_child_seeds_are_stable_and_apart(root, a, b):
    assert child_seed(root, a) == child_seed(root, a)
    assert 0 <= child_seed(root, a) < 2**63
    assert (child_seed(root, a) == child_seed(root, b)) == (a == b)
