import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests.unit.store.test_labels import Bench

from featlas.domain import LabelSource, LabelStatus
from featlas.store.labels import accept_label, reject_label, restore_label
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, LabelRow


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["machine", "linted", "abstain", "human", "accept", "reject", "restore"]), st.integers(0, 9)
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(ACTS)
def test_after_any_history_the_state_is_that_of_the_plain_rule(bench: Bench, acts: list[tuple[str, int]]):
    """One rule told in another way: sort all that may stand, take the last."""
    feature = bench.n % 4  # a history goes on in later examples: that only makes it longer
    for act, number in acts:
        labels = [label for label in bench.labels(feature) if label.status is LabelStatus.LABELED]
        if act == "human":
            bench.human(feature, f"human {number}")
        elif act in ("machine", "linted", "abstain"):
            lint = ("markup",) if act == "linted" else ()
            bench.machine(feature, None if act == "abstain" else f"machine {number}", lint=lint)
        elif labels:
            does = {"accept": accept_label, "reject": reject_label, "restore": restore_label}[act]
            does(bench.store, labels[number % len(labels)].id)
    history = bench.labels(feature)
    abstained = max((label.id for label in history if label.status is LabelStatus.ABSTAINED), default=0)
    standing = [
        (
            label.source is LabelSource.HUMAN or label.restored_from is not None,
            label.review_state == "accepted",
            label.id,
        )
        for label in history
        if label.status is LabelStatus.LABELED
        and label.review_state != "rejected"
        and (not label.lint or label.review_state == "accepted")
        and (label.id > abstained or label.review_state == "accepted")
    ]
    expected = max(standing)[2] if standing else None
    state = bench.state(feature)
    assert state.current_label_id == expected
    assert [label.id for label in history if label.is_current] == ([expected] if expected else [])
    text = next((label.semantic_label for label in history if label.is_current), None)
    assert state.semantic_label == text
    with bench.store.read() as session:
        top = session.scalar(select(func.max(FeatureStateRow.rev)).where(FeatureStateRow.sae_id == bench.sae_id))
        n_rows = session.scalar(select(func.count()).select_from(LabelRow))
    assert state.rev <= (top or 0)
    assert (n_rows or 0) >= len(history)
