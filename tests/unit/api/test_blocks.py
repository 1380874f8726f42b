import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from featlas.api.blocks import pack_block


def read_block(content: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """As docs/api.md says, and as the browser does it."""
    n = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + n])
    start = (4 + n + 7) // 8 * 8
    assert start % 8 == 0
    columns = {}
    for entry in header["columns"]:
        assert entry["offset"] % 8 == 0
        columns[entry["name"]] = np.frombuffer(content, entry["dtype"], entry["length"], start + entry["offset"])
    return header, columns


@given(
    arrays(np.float64, st.integers(0, 9), elements=st.floats(width=64)),
    arrays(np.float32, st.integers(0, 9), elements=st.floats(width=32)),
    arrays(np.int64, st.integers(0, 9), elements=st.integers(-(2**53), 2**53)),
    arrays(np.uint32, st.integers(0, 9)),
    arrays(np.bool_, st.integers(0, 9)),
    st.text(max_size=9),
)
def test_columns_come_out_as_they_went_in(f8, f4, i8, u4, b1, text):
    given_columns = {"f8": f8, "f4": f4, "i8": i8, "u4": u4, "b1": b1}
    header, found = read_block(pack_block({"text": text}, given_columns))
    assert header["text"] == text
    for name, values in given_columns.items():
        np.testing.assert_array_equal(values, found[name])


def test_no_array_has_a_type_that_a_browser_cannot_lay_over_it():
    _, found = read_block(pack_block({}, {"n": np.array([1, 2**40]), "is": np.array([True])}))
    assert (found["n"].dtype.str, found["is"].dtype.str) == ("<f8", "|u1")


def test_big_endian_columns_are_turned():
    _, found = read_block(pack_block({}, {"n": np.array([1.5, 2.5], dtype=">f8")}))
    assert found["n"].tolist() == [1.5, 2.5]
