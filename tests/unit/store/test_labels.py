from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.builders.stored_runs import fetch_again, make_run, publish_run, register_inputs

from featlas.domain import FeatureState, Label, LabelSource, LabelStatus, ReviewState
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.column_cache import ColumnCache
from featlas.store.label_state import list_chosen_by_people
from featlas.store.labels import (
    HumanLabel,
    accept_label,
    add_human_label,
    fetch_label,
    fetch_state,
    list_labels,
    read_states,
    reject_label,
    restore_label,
    set_favorite,
)
from featlas.store.listing import select_features
from featlas.store.machine_labels import LabelingOrigin, MachineLabel, MachineLabelWriter
from featlas.store.search import find_text
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow


class Bench:
    """A store with one run of an SAE with four features."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sae_id = register_inputs(store).sae_id
        self.run = make_run(store, register_inputs(store))
        self.n = 0

    def machine(self, feature: int = 0, text: str | None = "courts", **facts: object) -> int:
        """Add a machine's answer (None: an abstention) of new evidence; its id."""
        self.n += 1
        label = MachineLabel(
            feature_index=feature,
            status=LabelStatus.LABELED if text else LabelStatus.ABSTAINED,
            source=LabelSource.LEXICAL,
            provider="lexical",
            semantic_label=text,
            category_label="Token > Word" if text else None,
            explanation="because",
            evidence_hash=f"{self.n}",
            evidence={"n": self.n},
        )
        self.write(replace(label, **facts))  # type: ignore[arg-type]
        return self.newest(feature).id

    def write(self, *labels: MachineLabel, guard: Callable = lambda _session: None) -> int:
        return MachineLabelWriter(self.store, LabelingOrigin(self.sae_id, self.run.id, None), guard).add(labels)

    def human(self, feature: int = 0, text: str = "legal courts") -> FeatureState:
        return add_human_label(self.store, self.sae_id, feature, HumanLabel(text), created_by="ada")

    def state(self, feature: int = 0) -> FeatureState:
        with self.store.read() as session:
            return fetch_state(session, self.sae_id, feature)

    def labels(self, feature: int = 0) -> list[Label]:
        with self.store.read() as session:
            return list_labels(session, fetch_state(session, self.sae_id, feature))

    def newest(self, feature: int = 0) -> Label:
        return self.labels(feature)[0]

    def found(self, text: str) -> list[int]:
        with self.store.read() as session:
            return find_text(session, self.sae_id, text).tolist()


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


def test_a_feature_of_which_nobody_has_said_anything_has_an_empty_state(bench: Bench):
    assert bench.state(2) == FeatureState(bench.sae_id, 2)
    assert bench.labels(2) == []


def test_a_person_labels_a_feature(bench: Bench):
    said = HumanLabel("  legal \n courts ", " Topic >law> ", " Courts of law. ", bench.run.id)
    state = add_human_label(bench.store, bench.sae_id, 3, said, created_by="ada")
    (label,) = bench.labels(3)
    assert state == FeatureState(
        bench.sae_id,
        3,
        "legal courts",
        "Topic > law",
        LabelSource.HUMAN,
        label.id,
        review_state=ReviewState.ACCEPTED,
        rev=1,
    )
    assert state == bench.state(3)
    assert (label.explanation, label.created_by, label.reviewed_by) == ("Courts of law.", "ada", "ada")
    assert (label.source, label.status, label.is_current) == (LabelSource.HUMAN, LabelStatus.LABELED, True)
    assert label.evidence_run_id == bench.run.id
    assert label.created_at == label.reviewed_at
    assert bench.found("LEGAL") == bench.found("law") == [3]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (HumanLabel(" \n "), "an empty label"),
        (HumanLabel("x" * 201), "the label has 201 characters; expected at most 200"),
        (HumanLabel("x", "y" * 201), "the category has 201 characters"),
        (HumanLabel("x", "", "z" * 4001), "the explanation has 4001 characters"),
    ],
)
def test_a_text_that_cannot_be_a_label_is_refused(bench: Bench, label: HumanLabel, message: str):
    with pytest.raises(InputError, match=message):
        add_human_label(bench.store, bench.sae_id, 0, label)
    assert bench.labels() == []


def test_what_is_not_there_is_not_found(bench: Bench):
    for feature in (-1, 4):
        with pytest.raises(NotFoundError, match=r"no feature .*0 … 3"):
            bench.human(feature)
    with pytest.raises(NotFoundError, match="there is no SAE 99"):
        add_human_label(bench.store, 99, 0, HumanLabel("x"))
    for act in (accept_label, reject_label, restore_label):
        for label_id in (77, 2**70):
            with pytest.raises(NotFoundError, match="there is no label"):
                act(bench.store, label_id)
    with bench.store.read() as session, pytest.raises(NotFoundError):
        fetch_label(session, 77)


def test_the_newest_machine_label_is_in_force(bench: Bench):
    first = bench.machine(text="one")
    assert (bench.state().semantic_label, bench.state().label_source) == ("one", LabelSource.LEXICAL)
    second = bench.machine(text="two")
    assert bench.state().current_label_id == second
    assert [(label.id, label.superseded_by) for label in bench.labels()] == [(second, None), (first, second)]
    assert bench.found("two") == [0]
    assert bench.found("one") == []


def test_a_humans_label_is_never_replaced_by_a_machines(bench: Bench):
    bench.machine(text="machine's")
    bench.human(text="ada's")
    newer = bench.machine(text="machine's again")
    assert bench.state().semantic_label == "ada's"
    assert accept_label(bench.store, newer).semantic_label == "ada's"
    assert bench.human(text="ada's second").semantic_label == "ada's second"
    assert len(bench.labels()) == 4


def test_a_rejected_label_gives_way_to_the_best_that_remains(bench: Bench):
    first, second = bench.machine(text="one"), bench.machine(text="two")
    third = bench.human(text="three").current_label_id
    assert third is not None
    state = reject_label(bench.store, third, " wrong ", by="bob")
    assert (state.semantic_label, state.label_source) == ("two", LabelSource.LEXICAL)
    rejected = bench.newest()
    assert (rejected.review_state, rejected.reject_reason, rejected.reviewed_by) == (
        ReviewState.REJECTED,
        "wrong",
        "bob",
    )
    assert reject_label(bench.store, second).current_label_id == first
    state = reject_label(bench.store, first)
    assert (state.semantic_label, state.category_label, state.label_source) == (None, None, None)
    assert state.review_state is ReviewState.REJECTED
    assert bench.found("one") == bench.found("Token") == []
    assert accept_label(bench.store, second).semantic_label == "two"
    assert bench.labels()[1].reject_reason is None


def test_an_accepted_label_stays_before_newer_ones_that_nobody_accepted(bench: Bench):
    first = bench.machine(text="one")
    assert accept_label(bench.store, first, by="bob").review_state is ReviewState.ACCEPTED
    bench.machine(text="two")
    assert bench.state().current_label_id == first


def test_a_linted_label_is_not_in_force_until_it_is_accepted(bench: Bench):
    first = bench.machine(text="one")
    linted = bench.machine(text="**two**", lint=("markup",))
    assert (bench.state().current_label_id, bench.state().lint_flags) == (first, ())
    state = accept_label(bench.store, linted)
    assert (state.current_label_id, state.lint_flags) == (linted, ("markup",))


def test_the_lint_of_a_feature_without_a_label_in_force_is_told(bench: Bench):
    bench.machine(text="**two**", lint=("markup",))
    state = bench.state()
    assert (state.semantic_label, state.current_label_id, state.lint_flags) == (None, None, ("markup",))


def test_a_labeler_that_abstains_takes_back_what_nobody_accepted(bench: Bench):
    bench.machine(text="one", source=LabelSource.RULE)
    bench.machine(text=None)
    assert bench.state().current_label_id is None
    other = bench.machine(text="model's", source=LabelSource.LLM, provider="openai")
    bench.machine(text=None)
    assert bench.state().current_label_id == other
    accepted = bench.machine(text="three")
    accept_label(bench.store, accepted)
    bench.machine(text=None)
    assert bench.state().current_label_id == accepted


def test_an_older_label_is_restored_by_a_new_row_and_stays_restored(bench: Bench):
    first = bench.machine(text="one")
    bench.human(text="ada's")
    state = restore_label(bench.store, first, by="bob")
    newest = bench.newest()
    assert (state.semantic_label, state.current_label_id) == ("one", newest.id)
    assert (newest.restored_from, newest.created_by, newest.source) == (first, "bob", LabelSource.LEXICAL)
    assert (newest.evidence, newest.evidence_hash) == ({"n": 1}, "1")
    bench.machine(text="two")
    assert bench.state().semantic_label == "one"
    assert reject_label(bench.store, newest.id).semantic_label == "ada's"
    assert len(bench.labels()) == 4


def test_restoring_the_label_in_force_adds_nothing(bench: Bench):
    first = bench.machine(text="one")
    restore_label(bench.store, first)
    assert len(bench.labels()) == 1


def test_a_rejected_label_can_be_restored_and_stays_rejected_itself(bench: Bench):
    first = bench.machine(text="one")
    reject_label(bench.store, first, "no")
    assert restore_label(bench.store, first).semantic_label == "one"
    assert bench.labels()[1].review_state is ReviewState.REJECTED


def test_a_label_without_text_cannot_be_judged(bench: Bench):
    nothing = bench.machine(text=None)
    for act, word in ((accept_label, "accepted"), (reject_label, "rejected"), (restore_label, "restored")):
        with pytest.raises(InputError, match=rf"has no text \(abstained\); it cannot be {word}"):
            act(bench.store, nothing)


def test_people_who_saw_an_older_state_change_nothing(bench: Bench):
    seen = bench.human(text="ada's")
    label_id = seen.current_label_id
    assert label_id is not None
    bench.human(text="ada's second")
    acts = [
        lambda: add_human_label(bench.store, bench.sae_id, 0, HumanLabel("bob's"), expected_rev=seen.rev),
        lambda: accept_label(bench.store, label_id, expected_rev=seen.rev),
        lambda: reject_label(bench.store, label_id, expected_rev=seen.rev),
        lambda: restore_label(bench.store, label_id, expected_rev=seen.rev),
        lambda: set_favorite(bench.store, bench.sae_id, 0, True, expected_rev=seen.rev),
    ]
    before = bench.labels()
    for act in acts:
        with pytest.raises(ConflictError, match=r"have changed \(revision 2, expected 1\)"):
            act()
    assert bench.labels() == before
    assert reject_label(bench.store, label_id, expected_rev=2).rev == 3
    assert add_human_label(bench.store, bench.sae_id, 1, HumanLabel("new"), expected_rev=0).rev == 4


def test_relabelling_with_the_same_evidence_adds_nothing(bench: Bench):
    bench.machine(text="one")
    bench.n = 0
    rev = bench.state().rev
    bench.machine(text="one")
    bench.n = 0
    bench.machine(text="one", source=LabelSource.RULE)
    assert len(bench.labels()) == 1
    assert bench.state().rev == rev
    bench.machine(text="two")
    bench.n = 0
    bench.machine(text="one")
    assert [label.semantic_label for label in bench.labels()] == ["one", "two", "one"]
    assert bench.state().semantic_label == "one"


def test_a_rejected_label_does_not_come_back_with_the_same_evidence(bench: Bench):
    reject_label(bench.store, bench.machine(text="one"))
    bench.n = 0
    bench.machine(text="one")
    assert len(bench.labels()) == 1
    assert bench.state().semantic_label is None


def test_a_worker_that_lost_its_lease_adds_nothing(bench: Bench):
    label = MachineLabel(0, LabelStatus.LABELED, LabelSource.LEXICAL, "lexical", "x", None, "y", "h", {})

    def lost(_session: object) -> None:
        raise ConflictError("no longer ours")

    with pytest.raises(ConflictError, match="no longer ours"):
        bench.write(label, guard=lost)
    assert bench.labels() == []


def test_many_labels_are_written_at_once_with_strange_texts(bench: Bench):
    labels = [
        MachineLabel(
            f, LabelStatus.LABELED, LabelSource.LEXICAL, "lexical", f"a\0{f}\ud800", None, "e", f"{f}", {"x": "\0"}
        )
        for f in range(3)
    ]
    assert bench.write(*labels) == 3
    assert bench.write(*labels) == 0
    assert [bench.state(f).semantic_label for f in range(3)] == [f"a\\x00{f}\\ud800" for f in range(3)]
    with bench.store.read() as session:
        states = read_states(session, bench.sae_id, [0, 2, 3])
    assert sorted(states) == [0, 2]
    assert {state.rev for state in states.values()} == {1}


def test_favourites_and_scores_outlive_relabelling_as_far_as_they_mean_the_same(bench: Bench):
    bench.machine(text="one")
    assert set_favorite(bench.store, bench.sae_id, 0, True).is_favorite
    with bench.store.write() as session:
        session.get_one(FeatureStateRow, (bench.sae_id, 0)).score = 0.5
    reject_label(bench.store, bench.machine(text="**", lint=("markup",)))
    assert (bench.state().score, bench.state().is_favorite) == (0.5, True)
    bench.machine(text="two")
    assert (bench.state().score, bench.state().is_favorite) == (None, True)
    assert not set_favorite(bench.store, bench.sae_id, 0, False).is_favorite
    assert set_favorite(bench.store, bench.sae_id, 3, True).rev == bench.state(3).rev > 0


def test_features_that_people_chose_the_label_of(bench: Bench):
    first = bench.machine(0, text="one")
    bench.machine(1, text="two")
    bench.human(3)
    bench.human(0)
    restore_label(bench.store, first)
    with bench.store.read() as session:
        assert list_chosen_by_people(session, bench.sae_id) == [0, 3]


def test_queries_follow_the_labels(bench: Bench):
    publish_run(bench.store, bench.run, n_features=4)
    snapshot_id = fetch_again(bench.store, bench.run).snapshot_id
    assert snapshot_id is not None
    cache = ColumnCache()

    def find(text: str) -> list[int]:
        with bench.store.read() as session:
            return select_features(session, cache, snapshot_id, text).matches.tolist()

    assert find("is:unlabeled") == [0, 1, 2, 3]
    label = bench.machine(0, text="courts")
    bench.machine(2, text="**", lint=("markup",))
    bench.human(3, "tennis")
    assert find("is:labeled") == [0, 3]
    assert find("is:machine") == [0]
    assert find("is:human") == find("tennis") == [3]
    assert find("is:linted") == [2]
    assert find('category:"Token"') == [0]
    reject_label(bench.store, label)
    assert find("is:labeled") == [3]
    assert find("is:rejected") == [0]
