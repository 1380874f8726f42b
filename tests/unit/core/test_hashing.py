import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featlas.core.hashing import hash_arrays, hash_bytes, splitmix64

word = st.integers(0, 2**64 - 1)


def splitmix_oracle(x: int) -> int:
    """The published generator's output for state x, in Python's integers."""
    mask = 2**64 - 1
    z = (x + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_splitmix_gives_the_published_first_outputs():
    # Vigna's splitmix64.c with state 1234567
    states = np.array([1234567 + i * 0x9E3779B97F4A7C15 for i in range(3)], dtype=object) % 2**64
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert expected == splitmix64(states.astype(np.uint64)).tolist()


@given(st.lists(word, min_size=1))
def test_splitmix_is_the_oracles_for_every_word(words: list[int]):
    assert [splitmix_oracle(w) for w in words] == splitmix64(np.array(words, dtype=np.uint64)).tolist()


def test_words_of_any_integer_type_are_the_same_words():
    assert splitmix64(np.arange(5, dtype=np.uint64)).tolist() == splitmix64(np.arange(5)).tolist()


@given(st.integers(-(2**65), 2**65), word, st.integers(0, 2**32 - 1))
def test_a_row_is_hashed_column_by_column(seed: int, first: int, second: int):
    expected = splitmix_oracle(splitmix_oracle(splitmix_oracle(seed % 2**64) ^ first) ^ second)
    columns = (np.array([first], dtype=np.uint64), np.array([second], dtype=np.uint32))
    assert [expected] == hash_arrays(seed, *columns).tolist()


def test_columns_are_broadcast():
    both = hash_arrays(1, 5, np.array([6, 7]))
    assert both.tolist() == hash_arrays(1, np.array([5, 5]), np.array([6, 7])).tolist()


def test_bytes_are_hashed_under_a_seed():
    assert hash_bytes(b"a") == hash_bytes(b"a", seed=0)
    assert hash_bytes(b"a", seed=2**64) == hash_bytes(b"a")
    assert len({hash_bytes(b"a"), hash_bytes(b"b"), hash_bytes(b"a", seed=1), hash_bytes(b"")}) == 4
    assert 0 <= hash_bytes(b"a", seed=-1) < 2**64
    assert hash_bytes(b"featlas", seed=7) == 1802603230327124117  # plans on disk rest on it
