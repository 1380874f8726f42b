"""What labeling jobs have done: pinned, counted, told by cause, and set side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.builders.labelings import Labelings

from featlas.domain import FailureCause, JobState, LabelSource, LabelStatus
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.specs import ExtractSpec, LabelSpec
from featlas.store import jobs
from featlas.store.job_views import Job, fetch_job
from featlas.store.labelings import (
    Answered,
    Comparison,
    LabelingCounts,
    compare_jobs,
    count_job_labels,
    count_texts,
    enqueue_labeling,
    fetch_job_kind,
    list_failed,
    list_in_force,
    list_job_labels,
    pin_labeling,
    read_answered,
    read_said,
    take_up_labeling,
)
from featlas.store.labels import HumanLabel, add_human_label
from featlas.store.prompt_templates import fetch_template
from featlas.store.session import Store


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Labelings:
    return Labelings(store, tmp_path)


def pin(desk: Labelings, **options: Any) -> LabelSpec:
    with desk.store.read() as session:
        return pin_labeling(session, desk.spec(**options))


def extraction(desk: Labelings) -> Job:
    return jobs.enqueue(desk.store, "extraction", ExtractSpec(model="m", sae="s", text=("a.txt",), tokens=1000))


# Asking for a labeling


def test_a_job_names_its_run_its_template_and_its_model_for_good(desk: Labelings):
    template = f"{desk.template.uid}@{desk.template.version}"
    for run in (desk.run.name, str(desk.run.id), desk.run.uid[:13]):
        pinned = pin(desk, run=run)
        assert (pinned.run, pinned.template, pinned.model) == (desk.run.uid, template, "gpt-4o-mini")
    for name in (desk.template.name, f"{desk.template.name}@1", str(desk.template.id), desk.template.uid):
        assert pin(desk, template=name) == pinned
    assert pin(desk, run=pinned.run, template=pinned.template) == pinned
    assert pin(desk, model="gpt-x").model == "gpt-x"
    assert pin(desk, template="rare").template != template


def test_the_offline_labeler_needs_no_template(desk: Labelings):
    pinned = pin(desk, provider="lexical")
    assert (pinned.run, pinned.template, pinned.model) == (desk.run.uid, "", "")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"run": "nowhere"}, NotFoundError, "no run has"),
        ({"template": "nothing"}, NotFoundError, "nothing"),
        ({"template": "general@99"}, NotFoundError, "99"),
        ({"template": "general@two"}, InputError, "expected a number after @"),
        ({"template": "general@-1"}, InputError, "expected a number after @"),
        ({"template": f"general@{2**70}"}, NotFoundError, "version"),
        ({"retry_of": 4711}, InputError, "--retry-of 4711: expected the number of a labeling job"),
        ({"provider": "lexical", "retry_of": 4711}, InputError, "--retry-of 4711"),
    ],
)
def test_what_is_not_there_is_told_before_there_is_a_job(
    desk: Labelings, options: dict[str, Any], kind: type[Exception], message: str
):
    with pytest.raises(kind, match=message):
        pin(desk, **options)
    with pytest.raises(kind, match=message):
        enqueue_labeling(desk.store, desk.spec(**options))
    with pytest.raises(NotFoundError):
        fetch_job(desk.store, 1)


def test_only_failures_of_a_labeling_of_this_sae_are_asked_again(desk: Labelings, tmp_path: Path):
    other = Labelings(desk.store, tmp_path / "other", mark="other")
    job = other.job()
    assert pin(desk, retry_of=job.id).retry_of == job.id  # it has said nothing of any SAE
    other.write(job, other.failed(3))
    assert pin(other, retry_of=job.id).retry_of == job.id
    with pytest.raises(InputError, match=f"--retry-of {job.id}: that job labeled another SAE than run 'asked' has"):
        pin(desk, retry_of=job.id)
    with pytest.raises(InputError, match="expected the number of a labeling job"):
        pin(desk, retry_of=extraction(desk).id)


def test_a_template_counts_its_jobs_and_no_dry_runs(desk: Labelings):
    def uses(name: str) -> int:
        with desk.store.read() as session:
            return fetch_template(session, name).usage_count

    for options in ({}, {"template": "rare"}, {"dry_run": 3}, {"provider": "lexical"}):
        desk.job(**options)
    assert (uses("general"), uses("rare")) == (1, 1)


def test_the_same_work_is_not_queued_twice(desk: Labelings):
    job = enqueue_labeling(desk.store, desk.spec(run=str(desk.run.id)))
    assert (job.kind, job.state, job.spec["run"]) == ("labeling", "queued", desk.run.uid)
    with pytest.raises(ConflictError, match=f"job {job.id} does the same and is queued"):
        enqueue_labeling(desk.store, desk.spec(template="general@1"))
    assert enqueue_labeling(desk.store, desk.spec(concurrency=6)).id != job.id


def test_an_unfinished_job_is_taken_up(desk: Labelings):
    job, state = take_up_labeling(desk.store, desk.spec())
    assert (job.state, state) == (JobState.QUEUED, None)
    again, state = take_up_labeling(desk.store, desk.spec())
    assert (again.id, state) == (job.id, JobState.QUEUED)
    jobs.request_cancel(desk.store, job.id)
    again, state = take_up_labeling(desk.store, desk.spec())
    assert (again.id, again.state, state) == (job.id, JobState.QUEUED, JobState.CANCELLED)


# What a job has done


def test_what_a_job_has_answered_and_what_that_took(desk: Labelings):
    job = desk.job()
    known = desk.said(6)
    desk.write(job, desk.said(2), desk.said(3, None), desk.failed(4))
    desk.write(job, desk.said(5, "the token", source=LabelSource.RULE, asked=None))
    desk.write(desk.job(), known)
    with desk.store.read() as session:
        assert read_answered(session, job.id) == Answered(frozenset({2, 3, 4}), 2, 200, 20)
        assert read_said(session, job.id) == {2, 3, 4, 5}
        assert read_said(session, 4711) == frozenset()
        assert read_answered(session, 4711) == Answered(frozenset(), 0, 0, 0)


def test_texts_are_counted(desk: Labelings):
    job = desk.job()
    desk.write(job, desk.said(2, "a"), desk.said(3, "b"), desk.said(4, "a"), desk.said(5, None), desk.failed(6))
    desk.write(desk.job(), desk.said(7, "a"))
    with desk.store.read() as session:
        assert count_texts(session, job.id) == {"a": 2, "b": 1}
        assert count_texts(session, 4711) == {}


def test_what_failed_is_listed_until_somebody_says_something(desk: Labelings, tmp_path: Path):
    job = desk.job()
    desk.write(desk.job(), desk.said(8))
    desk.write(job, *(desk.failed(at) for at in (8, 2, 6, 3, 4, 5)), desk.said(7))

    def failed() -> list[int]:
        with desk.store.read() as session:
            return list_failed(session, job.id)

    assert failed() == [2, 3, 4, 5, 6, 8]
    desk.write(desk.job(), desk.said(2))
    desk.write(desk.job(), desk.said(3, None))
    desk.write(desk.job(), desk.failed(4))
    desk.write(None, desk.said(5, "the token", source=LabelSource.RULE, asked=None))
    assert failed() == [4, 6, 8]
    add_human_label(desk.store, desk.run.sae_id, 8, HumanLabel("mine"))
    assert failed() == [4, 6]
    other = Labelings(desk.store, tmp_path / "other", mark="other")
    other.write(other.job(), other.said(4), other.said(6))
    assert failed() == [4, 6]


def test_features_with_a_label_in_force(desk: Labelings):
    desk.write(
        desk.job(), desk.said(5), desk.said(2), desk.said(3, lint=("markup",)), desk.said(4, None), desk.failed(6)
    )
    with desk.store.read() as session:
        assert list_in_force(session, desk.run.sae_id) == [2, 5]
        assert list_in_force(session, 4711) == []


def test_labels_of_a_job_in_pages_and_by_kind(desk: Labelings):
    job = desk.job()
    timeout = FailureCause.TIMEOUT
    desk.write(job, desk.said(2), desk.failed(3), desk.said(4, None), desk.failed(5, timeout), desk.said(6))
    desk.write(desk.job(), desk.said(2, "later"), desk.said(7))

    def listed(**options: Any) -> list[int]:
        with desk.store.read() as session:
            return [label.feature_index for label in list_job_labels(session, job.id, **options)]

    assert listed() == [6, 5, 4, 3, 2]
    assert listed(status=LabelStatus.LABELED) == [6, 2]
    assert listed(status=LabelStatus.FAILED) == [5, 3]
    assert listed(cause=timeout) == [5]
    assert listed(status=LabelStatus.ABSTAINED, cause=timeout) == []
    with desk.store.read() as session:
        page = list_job_labels(session, job.id, limit=2)
        assert [label.feature_index for label in list_job_labels(session, job.id, before_id=page[-1].id)] == [4, 3, 2]
        is_current = {label.feature_index: label.is_current for label in list_job_labels(session, job.id)}
    assert is_current == {2: False, 3: False, 4: False, 5: False, 6: True}


def test_the_counts_of_a_job(desk: Labelings):
    job = desk.job()
    labels = [desk.said(2), desk.said(3, lint=("markup", "echo")), desk.said(4, None), desk.failed(5), desk.failed(6)]
    desk.write(job, *labels, desk.failed(7, FailureCause.SERVER))
    desk.write(job, desk.said(8, "the token", source=LabelSource.RULE, asked=None))
    desk.write(desk.job(), desk.said(9))
    with desk.store.read() as session:
        assert count_job_labels(session, job.id) == LabelingCounts(3, 1, 3, 1, {"refused": 2, "server": 1}, 300, 30, 63)
        assert count_job_labels(session, 4711) == LabelingCounts(0, 0, 0, 0, {}, 0, 0, None)


# Two jobs side by side


@pytest.fixture
def pair(desk: Labelings) -> tuple[Labelings, int, int]:
    """Jobs a and b: 2 the same but for case, 3 different, 4 abstained in both, 5 abstained and failed, 6 failed in
    both, 7 only in a, 8 only in b."""
    a, b = desk.job(), desk.job()
    desk.write(a, desk.said(2, "Courts of Law"), desk.said(3, "courts"), desk.said(4, None), desk.said(5, None))
    desk.write(a, desk.failed(6), desk.said(7, "only here"))
    desk.write(b, desk.said(2, "courts of law"), desk.said(3, "shoes"), desk.said(4, None), desk.failed(5))
    desk.write(b, desk.failed(6, FailureCause.SERVER), desk.said(8, "only there"))
    return desk, a.id, b.id


def compare(desk: Labelings, a: int, b: int, **options: Any) -> Comparison:
    with desk.store.read() as session:
        return compare_jobs(session, a, b, **options)


def features(found: Comparison) -> Sequence[int]:
    return [feature for feature, _, _ in found.pairs]


def test_two_jobs_are_compared_feature_by_feature(pair: tuple[Labelings, int, int]):
    found = compare(*pair)
    assert (found.n_both, found.n_same, found.n_only_a, found.n_only_b) == (5, 3, 1, 1)
    assert features(found) == [3, 5, 7, 8]
    by_feature = {feature: (a, b) for feature, a, b in found.pairs}
    a, b = by_feature[3]
    assert a is not None
    assert b is not None
    assert (a.semantic_label, b.semantic_label) == ("courts", "shoes")
    assert (a.is_current, b.is_current) == (False, True)
    a, b = by_feature[5]
    assert a is not None
    assert b is not None
    assert (a.status, b.status) == ("abstained", "failed")
    a, b = by_feature[7]
    assert (a is None, b is None) == (False, True)
    assert found.next_index is None


@pytest.mark.parametrize(
    ("which", "expected"), [("same", [2, 4, 6]), ("different", [3, 5, 7, 8]), ("all", [2, 3, 4, 5, 6, 7, 8])]
)
def test_what_is_the_same_what_is_different_and_all(pair: tuple[Labelings, int, int], which: str, expected: list[int]):
    assert features(compare(*pair, which=which)) == expected
    pages: list[int] = []
    after: int | None = -1
    while after is not None:
        page = compare(*pair, which=which, limit=2, after_index=after)
        assert len(page.pairs) <= 2
        assert (page.n_both, page.n_same) == (5, 3)
        pages += features(page)
        after = page.next_index
    assert pages == expected


def test_a_job_is_the_same_as_itself(pair: tuple[Labelings, int, int]):
    desk, a, _ = pair
    found = compare(desk, a, a)
    assert (found.n_both, found.n_same, found.pairs) == (6, 6, ())


def test_a_job_that_has_said_nothing_is_compared_all_the_same(pair: tuple[Labelings, int, int]):
    desk, a, _ = pair
    found = compare(desk, a, desk.job().id)
    assert (found.n_both, found.n_only_a, found.n_only_b) == (0, 6, 0)


def test_the_newest_answer_of_a_job_counts(desk: Labelings):
    a, b = desk.job(), desk.job()
    desk.write(a, desk.failed(2))
    desk.write(b, desk.said(2, "courts"))
    desk.write(a, desk.said(2, "courts"))
    assert compare(desk, a.id, b.id).n_same == 1


def test_what_cannot_be_compared_is_refused(pair: tuple[Labelings, int, int], tmp_path: Path):
    desk, a, _ = pair
    other = Labelings(desk.store, tmp_path / "other", mark="other")
    job = other.job()
    other.write(job, other.said(3))
    with pytest.raises(InputError, match="label different SAEs"):
        compare(desk, a, job.id)
    with pytest.raises(InputError, match="is no labeling"):
        compare(desk, a, extraction(desk).id)
    for unknown in (4711, 2**70, -1):
        with pytest.raises(NotFoundError):
            compare(desk, unknown, a)
        with desk.store.read() as session, pytest.raises(NotFoundError):
            fetch_job_kind(session, unknown)
