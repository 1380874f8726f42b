import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from featlas.store.paging import _stable_order


@st.composite
def keys(draw: st.DrawFn) -> list[NDArray]:
    n = draw(st.integers(0, 12))
    few = st.lists(st.sampled_from([-1.5, -0.0, 0.0, 2.0, np.inf]), min_size=n, max_size=n).map(np.array)
    are_null = st.lists(st.booleans(), min_size=n, max_size=n).map(lambda values: np.array(values, dtype=np.bool_))
    counts = st.lists(st.integers(-(2**62), 2**62), min_size=n, max_size=n).map(
        lambda values: np.array(values, dtype=np.int64)
    )
    return draw(st.lists(st.one_of(few, are_null, counts), min_size=1, max_size=4))


@given(keys())
def test_rows_come_in_the_order_of_their_keys_and_stay_in_place_where_these_are_equal(chosen: list[NDArray]):
    rows = list(range(len(chosen[0])))
    expected = sorted(rows, key=lambda row: tuple(key[row].item() for key in chosen))
    assert expected == _stable_order(chosen).tolist()
