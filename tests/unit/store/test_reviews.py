import datetime as dt
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from tests.builders.stored_runs import make_run, register_inputs
from tests.unit.store.test_labels import Bench

from featlas.domain import FeatureState, LabelSource, ReviewAction, ReviewState
from featlas.errors import ConflictError, FeatlasError, InputError, NotFoundError
from featlas.store.label_changes import FeatureChange
from featlas.store.label_state import TAKEN_BACK
from featlas.store.labels import HumanLabel, accept_label, reject_label, restore_label
from featlas.store.reviews import (
    JournalEntry,
    Reviewed,
    ReviewProgress,
    fetch_progress,
    find_skipped,
    list_actions,
    record_accept,
    record_label,
    record_reject,
    record_skip,
    undo_last,
)
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, ReviewActionRow, utc_now

N_FEATURES = 4
REVIEW_FIELDS = ("review_state", "reject_reason", "reviewed_by", "reviewed_at")


class Desk(Bench):
    """The bench of labels, with people who review."""

    def accept(self, label: int, by: str = "ada", **more: Any) -> Reviewed:
        return record_accept(self.store, label, reviewer=by, **more)

    def reject(self, label: int, reason: str = "no", by: str = "ada", **more: Any) -> Reviewed:
        return record_reject(self.store, label, reason, reviewer=by, **more)

    def write_down(self, feature: int = 0, text: str = "ada's", by: str = "ada", **more: Any) -> Reviewed:
        return record_label(self.store, self.sae_id, feature, HumanLabel(text), reviewer=by, **more)

    def skip(self, feature: int = 0, by: str = "ada", **more: Any) -> Reviewed:
        return record_skip(self.store, self.sae_id, feature, reviewer=by, **more)

    def undo(self, by: str = "ada", **more: Any) -> Reviewed:
        return undo_last(self.store, self.sae_id, by, **more)

    def log(self, by: str | None = None, **more: Any) -> list[JournalEntry]:
        with self.store.read() as session:
            return list_actions(session, self.sae_id, by, **more)

    def progress(self, by: str = "ada") -> ReviewProgress:
        with self.store.read() as session:
            return fetch_progress(session, self.sae_id, by)

    def skipped(self, by: str = "ada") -> list[int]:
        with self.store.read() as session:
            return find_skipped(session, self.sae_id, by)

    def age(self, *minutes_ago: float) -> None:
        """Say of the newest steps how long ago they were taken, from the newest on."""
        now = utc_now()
        for entry, minutes in zip(self.log(), minutes_ago, strict=False):
            at = now - dt.timedelta(minutes=minutes)
            with self.store.write() as session:
                session.execute(update(ReviewActionRow).where(ReviewActionRow.id == entry.id).values(created_at=at))

    def everything(self) -> tuple[list[FeatureState], dict[int, tuple[Any, ...]]]:
        """All states, whatever their revision, and how each label was judged, but for those that were taken back."""
        states = [replace(self.state(feature), rev=0) for feature in range(N_FEATURES)]
        labels = [label for feature in range(N_FEATURES) for label in self.labels(feature)]
        kept = [label for label in labels if label.reject_reason != TAKEN_BACK]
        return states, {label.id: tuple(getattr(label, name) for name in REVIEW_FIELDS) for label in kept}


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def test_a_step_does_what_the_label_store_does_and_is_written_down(desk: Desk):
    label = desk.machine(text="courts")
    accepted = desk.accept(label)
    assert accepted.state == desk.state()
    assert (accepted.state.current_label_id, accepted.state.review_state) == (label, ReviewState.ACCEPTED)
    rejected = desk.reject(label, " too wide ", by="bob")
    assert (rejected.state.current_label_id, desk.newest().reject_reason) == (None, "too wide")
    written = desk.write_down(text=" legal  courts ")
    assert (written.state.semantic_label, written.state.label_source) == ("legal courts", LabelSource.HUMAN)
    assert (desk.newest().created_by, desk.newest().reviewed_by) == ("ada", "ada")
    skipped = desk.skip(2)
    assert skipped.state == FeatureState(desk.sae_id, 2) == desk.state(2)

    steps = [skipped, written, rejected, accepted]
    assert desk.log() == [step.action for step in steps]
    assert [(step.action, step.feature_index, step.reviewer, step.semantic_label) for step in desk.log()] == [
        (ReviewAction.SKIP, 2, "ada", None),
        (ReviewAction.WRITE, 0, "ada", "legal courts"),
        (ReviewAction.REJECT, 0, "bob", "courts"),
        (ReviewAction.ACCEPT, 0, "ada", "courts"),
    ]
    assert [step.label_id for step in desk.log()] == [None, written.state.current_label_id, label, label]
    assert all(step.undone_at is None for step in desk.log())


def test_steps_are_listed_by_reviewer_and_page_by_page(desk: Desk):
    ids = [desk.skip(feature, by).action.id for feature, by in enumerate(["ada", "bob", "ada", "ada"])]
    assert [step.id for step in desk.log("ada")] == [ids[3], ids[2], ids[0]]
    assert [step.id for step in desk.log("ada", limit=2)] == [ids[3], ids[2]]
    assert [step.id for step in desk.log(before_id=ids[2], limit=None)] == [ids[1], ids[0]]
    assert desk.log("eve") == []


def test_what_is_refused_is_not_written_down(desk: Desk):
    nothing = desk.machine(1, text=None)
    label = desk.machine(0, text="courts")
    before = desk.everything()
    refusals: list[tuple[type[FeatlasError], Callable[[], Any]]] = [
        (InputError, lambda: desk.accept(nothing)),
        (InputError, lambda: desk.reject(nothing)),
        (InputError, lambda: desk.reject(label, "x" * 4001)),
        (InputError, lambda: desk.write_down(text=" ")),
        (NotFoundError, lambda: desk.accept(77)),
        (NotFoundError, lambda: desk.reject(2**70)),
        (NotFoundError, lambda: desk.write_down(N_FEATURES)),
        (NotFoundError, lambda: desk.skip(-1)),
        (NotFoundError, lambda: record_skip(desk.store, 99, 0, reviewer="ada")),
        (NotFoundError, lambda: undo_last(desk.store, 99, "ada")),
        (ConflictError, lambda: desk.accept(label, expected_rev=1)),
        (ConflictError, lambda: desk.reject(label, expected_rev=1)),
        (ConflictError, lambda: desk.write_down(expected_rev=1)),
        (ConflictError, lambda: desk.skip(expected_rev=1)),
    ]
    for error, act in refusals:
        with pytest.raises(error):
            act()
    assert desk.log() == []
    assert desk.everything() == before
    assert desk.accept(label, expected_rev=2).state.rev == 3


@pytest.mark.parametrize("name", ["", " \n ", "x" * 201])
def test_a_review_needs_the_name_of_a_person(desk: Desk, name: str):
    label = desk.machine()
    acts: list[Callable[[], Any]] = [
        lambda: desk.accept(label, by=name),
        lambda: desk.reject(label, by=name),
        lambda: desk.write_down(by=name),
        lambda: desk.skip(by=name),
        lambda: desk.undo(name),
        lambda: desk.progress(name),
    ]
    for act in acts:
        with pytest.raises(InputError, match="name"):
            act()


def test_a_name_is_the_same_however_it_is_spaced(desk: Desk):
    desk.skip(by=" Ada  B ")
    assert [step.reviewer for step in desk.log("Ada B")] == ["Ada B"]
    assert desk.skipped(" Ada B") == [0]
    assert desk.undo("Ada B ").action.feature_index == 0


def test_ten_steps_and_ten_undos_leave_everything_as_it_was(desk: Desk):
    first, second = desk.machine(0, text="one"), desk.machine(0, text="two")
    linted = desk.machine(1, text="**", lint=("markup",))
    accept_label(desk.store, desk.machine(2, text="three"), by="bob")
    accepted = desk.newest(2).id
    with desk.store.write() as session:
        session.get_one(FeatureStateRow, (desk.sae_id, 0)).score = 0.25
    steps: list[Callable[[], Reviewed]] = [
        lambda: desk.accept(second),
        lambda: desk.reject(second, "no"),
        lambda: desk.skip(1),
        lambda: desk.accept(linted),
        lambda: desk.write_down(3, "four"),
        lambda: desk.reject(accepted, "wrong"),
        lambda: desk.write_down(2, "three, better"),
        lambda: desk.accept(first),
        lambda: desk.reject(linted, "after all"),
        lambda: desk.write_down(1, "plain"),
    ]
    before, taken = [], []
    for step in steps:
        before.append(desk.everything())
        taken.append(step().action)
    assert desk.state(0).score is None
    for earlier, step in zip(reversed(before), reversed(taken), strict=True):
        undone = desk.undo()
        assert replace(undone.action, undone_at=None) == step
        assert undone.action.undone_at is not None
        assert undone.state == desk.state(step.feature_index)
        assert desk.everything() == earlier
    assert desk.state(0).score == 0.25
    with pytest.raises(ConflictError, match="nothing is left to undo: no review by ada"):
        desk.undo()
    assert [step.semantic_label for step in desk.log() if step.undone_at is None] == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["accept", "reject", "write", "skip"]), st.sampled_from(["ada", "bob"]), st.integers(0, 9)
    ),
    max_size=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(STEPS)
def test_whatever_two_people_did_the_last_who_came_is_the_first_to_undo(desk: Desk, steps: list[tuple[str, str, int]]):
    for feature in range(2):  # later examples go on with what earlier ones left
        desk.machine(feature, text=f"machine {desk.n}", lint=("markup",) if desk.n % 3 == 0 else ())
    before, people = [], []
    for act, by, number in steps:
        feature = number % 2
        labels = [label.id for label in desk.labels(feature) if label.reject_reason != TAKEN_BACK]
        before.append(desk.everything())
        people.append(by)
        if act == "accept":
            desk.accept(labels[number % len(labels)], by)
        elif act == "reject":
            desk.reject(labels[number % len(labels)], "no", by)
        elif act == "write":
            desk.write_down(feature, f"text {number}", by)
        else:
            desk.skip(feature, by)
    while people:
        desk.undo(people.pop())
        assert desk.everything() == before.pop()


def test_a_written_label_is_taken_back_but_not_forgotten(desk: Desk):
    first = desk.machine(text="courts")
    written = desk.write_down(text="legal courts").state.current_label_id
    state = desk.undo().state
    assert (state.current_label_id, state.review_state) == (first, ReviewState.UNREVIEWED)
    assert desk.found("legal") == []
    taken_back = desk.newest()
    assert (taken_back.id, taken_back.review_state, taken_back.reject_reason, taken_back.reviewed_by) == (
        written,
        ReviewState.REJECTED,
        "taken back",
        "ada",
    )
    assert restore_label(desk.store, taken_back.id).semantic_label == "legal courts"


def test_a_label_that_was_taken_back_says_nothing_of_its_feature(desk: Desk):
    desk.write_down(3)
    assert replace(desk.undo().state, rev=0) == FeatureState(desk.sae_id, 3)
    desk.machine(1, text="**", lint=("markup",))
    desk.write_down(1)
    state = desk.undo().state
    assert (state.current_label_id, state.review_state, state.lint_flags) == (
        None,
        ReviewState.UNREVIEWED,
        ("markup",),
    )
    desk.write_down(2)
    reject_label(desk.store, desk.newest(2).id, "no, says bob")
    assert desk.state(2).review_state is ReviewState.REJECTED


def test_accepting_a_linted_label_puts_it_in_force_until_that_is_undone(desk: Desk):
    plain = desk.machine(text="one")
    linted = desk.machine(text="**two**", lint=("markup",))
    assert desk.accept(linted).state.current_label_id == linted
    state = desk.undo().state
    assert (state.current_label_id, state.lint_flags, state.review_state) == (plain, (), ReviewState.UNREVIEWED)


def test_rejecting_the_label_in_force_brings_the_next_best_until_that_is_undone(desk: Desk):
    first, second = desk.machine(text="one"), desk.machine(text="two")
    accept_label(desk.store, first, by="bob")
    assert desk.reject(first).state.current_label_id == second
    assert desk.reject(second).state.current_label_id is None
    assert desk.undo().state.current_label_id == second
    state = desk.undo().state
    assert (state.current_label_id, state.review_state) == (first, ReviewState.ACCEPTED)
    assert (desk.labels()[1].reviewed_by, desk.labels()[1].reject_reason) == ("bob", None)


def test_a_label_that_somebody_else_judged_since_stays_as_it_is(desk: Desk):
    label, other = desk.machine(0, text="courts"), desk.machine(1, text="tennis")
    desk.accept(other)
    desk.accept(label)
    desk.reject(label, by="bob")
    before = desk.everything()
    with pytest.raises(
        ConflictError, match=r"ada accepted label \d+ of feature 0, but bob has rejected it since, and that stays"
    ):
        desk.undo()
    assert desk.everything() == before
    assert [step.undone_at for step in desk.log()] == [None, None, None]

    undone = desk.undo(leave_overtaken=True)
    assert (undone.action.feature_index, undone.state.review_state) == (1, ReviewState.UNREVIEWED)
    assert desk.state(0).review_state is ReviewState.REJECTED
    with pytest.raises(ConflictError, match="nothing is left to undo"):
        desk.undo(leave_overtaken=True)
    desk.undo("bob")
    assert desk.state(0).review_state is ReviewState.ACCEPTED
    assert desk.undo().state.review_state is ReviewState.UNREVIEWED


def test_a_written_label_that_somebody_rejected_since_stays_rejected_for_their_reason(desk: Desk):
    desk.write_down()
    desk.reject(desk.newest().id, "too wide", by="bob")
    with pytest.raises(ConflictError, match="ada wrote label"):
        desk.undo()
    assert desk.newest().reject_reason == "too wide"


def test_what_the_same_person_did_elsewhere_is_not_overwritten_either(desk: Desk):
    label = desk.machine()
    desk.accept(label)
    accept_label(desk.store, label, by="ada")
    with pytest.raises(ConflictError, match="but ada has accepted it since"):
        desk.undo()
    reject_label(desk.store, label)
    with pytest.raises(ConflictError, match="but somebody has rejected it since"):
        desk.undo()


def test_people_undo_their_own_steps_in_one_sae_only(desk: Desk):
    inputs = register_inputs(desk.store, mark="-other")
    make_run(desk.store, inputs)
    record_skip(desk.store, inputs.sae_id, 0, reviewer="ada")
    desk.skip(1, by="bob")
    with pytest.raises(ConflictError, match="nothing is left"):
        desk.undo("ada")
    assert desk.undo("bob").action.feature_index == 1


def in_force(desk: Desk) -> str | None:
    return desk.state().semantic_label


def test_a_machine_that_labels_again_between_a_review_and_its_undo(desk: Desk):
    """Its newer answer comes into force by the undo exactly where it would be without the review."""
    first = desk.machine(text="one")
    desk.accept(first)
    desk.machine(text="two")
    assert in_force(desk) == "one"
    desk.undo()
    assert in_force(desk) == "two"

    desk.reject(desk.newest().id)
    assert in_force(desk) == "one"
    desk.machine(text="three")
    desk.undo()
    assert in_force(desk) == "three"

    desk.write_down(text="ada's")
    desk.machine(text="four")
    assert in_force(desk) == "ada's"
    desk.undo()
    assert in_force(desk) == "four"


def test_a_machine_that_takes_its_label_back_between_a_review_and_its_undo(desk: Desk):
    desk.accept(desk.machine(text="one"))
    desk.machine(text=None)
    assert in_force(desk) == "one"
    assert desk.undo().state.current_label_id is None


def test_a_person_s_label_survives_machines_and_the_undoing_of_others(desk: Desk):
    desk.write_down(text="ada's")
    machine = desk.machine(text="one")
    desk.accept(machine, by="bob")
    desk.machine(text="two")
    assert in_force(desk) == "ada's"
    desk.undo("bob")
    desk.machine(text=None)
    assert in_force(desk) == "ada's"
    with desk.store.read() as session:
        assert fetch_progress(session, desk.sae_id, "ada").n_reviewed == 1


def test_two_people_at_once_lose_nothing_and_undo_only_what_is_theirs(desk: Desk):
    labels = [desk.machine(feature, text=f"label {n}") for feature in range(N_FEATURES) for n in range(3)]
    before = desk.everything()

    def work(by: str, mine: list[int]) -> None:
        for label in mine:
            desk.accept(label, by)
            desk.reject(label, "no", by)
            desk.skip(label % N_FEATURES, by)

    at_once([lambda: work("ada", labels[::2]), lambda: work("bob", labels[1::2])])
    assert [len(desk.log(by, limit=None)) for by in ("ada", "bob")] == [18, 18]
    at_once([lambda: [desk.undo("ada") for _ in range(18)], lambda: [desk.undo("bob") for _ in range(18)]])
    assert desk.everything() == before


def test_two_windows_of_one_person_undo_different_steps(desk: Desk):
    for feature in range(N_FEATURES):
        desk.accept(desk.machine(feature))
    undone: list[int] = []
    at_once([lambda: undone.append(desk.undo().action.feature_index)] * N_FEATURES)
    assert sorted(undone) == list(range(N_FEATURES))


def test_who_waited_for_another_undoes_to_what_the_other_said(desk: Desk):
    label = desk.machine()
    with ThreadPoolExecutor(1) as pool:
        with desk.store.write() as session:
            change, row = FeatureChange.begin_at(session, label)
            change.accept(row, "ada")
            change.finish()
            waiting = pool.submit(desk.reject, label, "no", "bob")
            time.sleep(0.3)  # long enough to read what was there before
        waiting.result()
    assert desk.state().current_label_id is None
    desk.undo("bob")
    assert (desk.newest().review_state, desk.newest().reviewed_by) == (ReviewState.ACCEPTED, "ada")


def at_once(acts: list[Callable[[], Any]]) -> None:
    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result()


def test_skipped_features_come_back_after_twelve_hours_or_by_undo(desk: Desk):
    for feature in (3, 0, 0, 2):
        desk.skip(feature)
    desk.skip(1, by="bob")
    assert desk.skipped() == [0, 2, 3]
    desk.undo()
    assert desk.skipped() == [0, 3]
    desk.undo()
    assert desk.skipped() == [0, 3]
    desk.age(0, 0, 0, 1, 12 * 60 - 1)
    assert desk.skipped() == [0, 3]
    desk.age(0, 0, 0, 1, 12 * 60 + 1)
    assert desk.skipped() == [0]


def test_progress_counts_features_once_and_not_what_was_undone(desk: Desk):
    assert desk.progress() == ReviewProgress(0, 0, None, None)
    label = desk.machine(0)
    desk.reject(label)
    desk.write_down(0)
    desk.skip(0)
    desk.skip(1)
    desk.skip(1)
    desk.write_down(2, by="bob")
    desk.write_down(3)
    desk.undo()
    found = desk.progress()
    assert (found.n_reviewed, found.n_skipped) == (1, 1)
    assert found.since == min(step.created_at for step in desk.log("ada"))
    assert desk.progress("bob").n_reviewed == 1


def test_the_pace_is_of_features_and_leaves_breaks_out(desk: Desk):
    for feature in range(N_FEATURES):
        desk.write_down(feature)
        assert (desk.progress().per_minute is None) == (feature == 0)
    desk.skip(3)
    desk.age(1, 3, 5, 60, 62)  # features 3, 3, 2, 1, 0: two minutes, a break, and four minutes
    assert desk.progress().per_minute == pytest.approx(2 / 6)
    desk.age(1, 3, 7, 60, 66)
    assert desk.progress().per_minute is None
    desk.age(1, 3, 5, 60, 12 * 60 + 1)
    found = desk.progress()
    assert (found.n_reviewed, found.since) == (3, desk.log()[3].created_at)
