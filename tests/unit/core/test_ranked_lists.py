import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featlas.core.ranked_lists import RankedLists, Rows, empty_rows

row = st.tuples(st.integers(0, 2), st.integers(0, 4) | st.integers(2**64 - 3, 2**64 - 1), st.integers(0, 3))
batches = st.lists(st.lists(row, max_size=12), max_size=5)
K = 3


def make_rows(batch: list[tuple[int, int, int]], first_slot: int, *, is_distinct: bool) -> Rows:
    columns = list(zip(*batch, strict=True)) or [(), (), ()]
    same = np.array(columns[2], dtype=np.uint64) if is_distinct else None
    slot = np.arange(first_slot, first_slot + len(batch))
    return Rows(np.array(columns[0], dtype=np.int64), np.array(columns[1], dtype=np.uint64), slot, same)


def oracle(flat: list[tuple[int, int, int]], *, is_distinct: bool) -> list[list[int]]:
    out = []
    for segment in range(3):
        rows = sorted((rank, slot, same) for slot, (s, rank, same) in enumerate(flat) if s == segment)
        seen: set[int] = set()
        slots = []
        for _, slot, same in rows:
            if not (is_distinct and same in seen):
                slots.append(slot)
            seen.add(same)
        out.append([*slots, *[-1] * K][:K])
    return out


@given(batches, st.booleans())
def test_any_batches_leave_the_smallest_ranks(parts: list[list[tuple[int, int, int]]], is_distinct: bool):
    lists, n = RankedLists(3, K, is_distinct=is_distinct), 0
    for part in parts:
        lists.add(make_rows(part, n, is_distinct=is_distinct))
        n += len(part)
    expected = oracle([r for part in parts for r in part], is_distinct=is_distinct)
    assert expected == lists.table().tolist()
    rows = lists.rows()
    keys = list(zip(rows.segment, rows.rank, rows.slot, strict=True))
    assert sorted(keys) == keys


def test_lists_hold_everything_until_they_are_full():
    lists = RankedLists(1, 2)
    many = np.full(1, 2**64 - 1, dtype=np.uint64)
    zero = np.zeros(1, dtype=np.int64)
    assert lists.may_enter(zero, many).all()
    lists.add(Rows(zero, many - np.uint64(5), zero))
    assert lists.may_enter(zero, many).all()
    lists.add(Rows(zero, many - np.uint64(3), zero + 1))
    assert not lists.may_enter(zero, many).any()
    assert lists.may_enter(zero, many - np.uint64(3)).all()


def test_rows_are_taken_and_joined_with_their_identities():
    rows = make_rows([(0, 1, 2), (1, 2, 3)], 10, is_distinct=True)
    joined = empty_rows(True).join(rows).take(np.array([1, 0]))
    assert ([1, 0], [2, 1], [11, 10]) == (joined.segment.tolist(), joined.rank.tolist(), joined.slot.tolist())
    assert joined.same is not None
    assert [3, 2] == joined.same.tolist()
    assert empty_rows(False).same is None
    assert empty_rows(False).join(make_rows([(0, 1, 2)], 0, is_distinct=False)).same is None
