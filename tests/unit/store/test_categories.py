import pytest
from tests.unit.store.test_labels import Bench

from featlas.store.categories import category_tree, list_categories
from featlas.store.labels import HumanLabel, add_human_label
from featlas.store.session import Store


@pytest.fixture
def bench(store: Store) -> Bench:
    """Four features in three categories."""
    made = Bench(store)
    for feature, path in enumerate(["Language > Syntax", "language>Words", "Language > Syntax > Marks", "Topic"]):
        add_human_label(store, made.sae_id, feature, HumanLabel("x", path))
    return made


def find(bench: Bench, prefix: str = "", **more: int) -> dict[str, int]:
    with bench.store.read() as session:
        found = list_categories(session, bench.sae_id, prefix, **more)
    return {" > ".join(path): n for path, n in found.items()}


def test_every_step_counts_what_is_below_it_commonest_first(bench: Bench):
    found = find(bench)
    assert found == {
        "Language": 2,
        "Language > Syntax": 2,
        "Language > Syntax > Marks": 1,
        "Topic": 1,
        "language": 1,
        "language > Words": 1,
    }
    assert list(found)[:2] == ["Language", "Language > Syntax"]
    assert list(find(bench, limit=2)) == ["Language", "Language > Syntax"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("to", ["Topic"]),
        ("LANGUAGE>S", ["Language > Syntax", "Language > Syntax > Marks"]),
        ("language >", ["Language > Syntax", "Language > Syntax > Marks", "language > Words"]),
        ("language > syntax > m", ["Language > Syntax > Marks"]),
        ("syntax", []),
        ("%", []),
    ],
)
def test_a_half_typed_path_finds_what_it_can_become(bench: Bench, prefix: str, expected: list[str]):
    assert list(find(bench, prefix)) == expected


def test_only_labels_in_force_count(bench: Bench):
    add_human_label(bench.store, bench.sae_id, 3, HumanLabel("no category"))
    assert find(bench, "topic") == {}
    with bench.store.read() as session:
        assert list_categories(session, bench.sae_id + 1) == {}


def test_a_category_that_nothing_has_is_no_step():
    assert category_tree([("A > B", 0), ("C", 2)]) == {("C",): 2}
