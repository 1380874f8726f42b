"""Answers of language models as a job writes them: failures, kept answers, and lint that is only seen at the end."""

from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.builders.labelings import Labelings, make_response

from featlas.domain import FailureCause, LabelSource, LabelStatus
from featlas.errors import ConflictError
from featlas.store.labels import HumanLabel, accept_label, add_human_label, reject_label
from featlas.store.responses import fetch_response, find_response
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, LabelRow


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Labelings:
    return Labelings(store, tmp_path)


def refuse(_session: object) -> None:
    raise ConflictError("the job was given to another worker")


def test_an_answer_says_how_it_was_asked_for(desk: Labelings):
    job = desk.job()
    said = desk.said(3)
    assert desk.write(job, said) == 1
    (label,) = desk.labels(3)
    assert (label.semantic_label, label.category_label, label.explanation) == ("courts", "Society > Law", "because")
    assert (label.status, label.source, label.provider, label.model) == ("labeled", LabelSource.LLM, "openai", "m")
    assert (label.labeling_job_id, label.evidence_run_id, label.confidence) == (job.id, desk.run.id, 0.5)
    assert (label.template_version_id, label.response_key) == (desk.template.version_id, said.evidence_hash)
    assert (label.n_tokens_in, label.n_tokens_out, label.cost_micro_usd, label.wall_s) == (100, 10, 21, 0.5)
    assert (label.is_current, label.failure_cause) == (True, None)


def test_a_failure_says_why(desk: Labelings):
    desk.write(desk.job(), desk.failed(3, FailureCause.TIMEOUT, explanation="no answer within 60 s"))
    (label,) = desk.labels(3)
    assert (label.status, label.failure_cause) == (LabelStatus.FAILED, FailureCause.TIMEOUT)
    assert (label.semantic_label, label.explanation) == (None, "no answer within 60 s")
    assert (label.n_tokens_in, label.response_key, label.is_current) == (None, None, False)
    assert desk.state(3).current_label_id is None


@pytest.mark.parametrize("cause", FailureCause)
def test_every_cause_can_be_stored(desk: Labelings, cause: FailureCause):
    desk.write(desk.job(), desk.failed(3, cause))
    assert desk.labels(3)[0].failure_cause is cause


def test_a_failure_takes_no_label_back(desk: Labelings):
    desk.write(desk.job(), desk.said(3))
    before = desk.state(3)
    desk.write(desk.job(), desk.failed(3))
    after = desk.state(3)
    assert (after.semantic_label, after.current_label_id) == ("courts", before.current_label_id)
    assert after.review_state == before.review_state
    desk.write(desk.job(), desk.said(3, None))  # an abstention does
    assert desk.state(3).current_label_id is None


def test_a_failure_does_not_hide_what_lint_found(desk: Labelings):
    desk.write(desk.job(), desk.said(3, lint=("markup",)))
    desk.write(desk.job(), desk.failed(3))
    assert desk.state(3).lint_flags == ("markup",)


def test_the_same_answer_again_adds_nothing_though_it_failed_in_between(desk: Labelings):
    said = desk.said(3)
    assert desk.write(desk.job(), said) == 1
    assert desk.write(desk.job(), desk.failed(3, evidence_hash=said.evidence_hash)) == 1
    assert desk.write(desk.job(), said) == 0
    assert [label.status for label in desk.labels(3)] == [LabelStatus.FAILED, LabelStatus.LABELED]


def test_a_failure_is_no_answer_to_the_same_question(desk: Labelings):
    failed = desk.failed(3)
    assert desk.write(desk.job(), failed) == 1
    assert desk.write(desk.job(), desk.said(3, evidence_hash=failed.evidence_hash)) == 1
    assert desk.state(3).semantic_label == "courts"


def test_a_failure_again_is_written_again(desk: Labelings):
    failed = desk.failed(3)
    assert [desk.write(desk.job(), failed) for _ in range(2)] == [1, 1]
    assert len(desk.labels(3)) == 2


def test_answers_of_another_labeler_are_other_answers(desk: Labelings):
    said = desk.said(3)
    desk.write(desk.job(), said)
    rule = desk.said(3, "the token", source=LabelSource.RULE, evidence_hash=said.evidence_hash, asked=None)
    assert desk.write(desk.job(), rule) == 1
    assert desk.labels(3)[0].template_version_id is None


def test_the_kept_answer_is_there_with_its_label(desk: Labelings):
    desk.write(desk.job(), desk.said(3), responses=(make_response("a"), make_response("b")))
    with desk.store.read() as session:
        assert fetch_response(session, "a") == make_response("a")
        assert fetch_response(session, "b") == make_response("b")


def test_answers_are_kept_although_their_labels_are_known(desk: Labelings):
    said = desk.said(3)
    desk.write(desk.job(), said)
    assert desk.write(desk.job(), said, responses=(make_response("a"),)) == 0
    with desk.store.read() as session:
        assert find_response(session, "a") is not None


def test_a_worker_that_lost_its_job_keeps_neither_labels_nor_answers(desk: Labelings):
    with pytest.raises(ConflictError, match="another worker"):
        desk.write(desk.job(), desk.said(3), responses=(make_response("a"),), guard=refuse)
    assert desk.labels(3) == []
    with desk.store.read() as session:
        assert find_response(session, "a") is None


def test_strange_texts_are_stored_readably(desk: Labelings):
    desk.write(desk.job(), desk.said(3, "a\0b", explanation="\ud800", evidence={"x": "\0", "n": float("nan")}))
    (label,) = desk.labels(3)
    assert (label.semantic_label, label.explanation) == ("a\\x00b", "\\ud800")
    assert label.evidence == {"x": "\\x00", "n": None}


# Lint that is only seen at the end


def test_what_turns_out_to_be_everywhere_is_flagged_and_not_in_force(desk: Labelings):
    job = desk.job()
    desk.write(job, *(desk.said(at, "words" if at % 2 else f"label {at}") for at in range(8)))
    revs = [desk.state(at).rev for at in range(8)]
    desk.writer(job).flag_repeated(["words", "never said"], "repeated")
    for at in range(8):
        (label,) = desk.labels(at)
        state = desk.state(at)
        if at % 2:
            assert (label.lint, label.is_current) == (("repeated",), False)
            assert (state.current_label_id, state.semantic_label, state.lint_flags) == (None, None, ("repeated",))
            assert state.rev > revs[at]
        else:
            assert (label.lint, label.is_current, state.rev) == ((), True, revs[at])


def test_what_stood_before_comes_back_into_force(desk: Labelings):
    desk.write(desk.job(), desk.said(3, "courts"))
    job = desk.job()
    desk.write(job, desk.said(3, "words"))
    assert desk.state(3).semantic_label == "words"
    desk.writer(job).flag_repeated(["words"], "repeated")
    assert desk.state(3).semantic_label == "courts"


def test_only_this_jobs_labels_are_flagged(desk: Labelings):
    desk.write(desk.job(), desk.said(3, "words"))
    job = desk.job()
    desk.write(job, desk.said(4, "words"))
    desk.writer(job).flag_repeated(["words"], "repeated")
    assert desk.labels(3)[0].lint == ()
    assert desk.labels(4)[0].lint == ("repeated",)


def test_flagging_again_changes_nothing(desk: Labelings):
    job = desk.job()
    desk.write(job, desk.said(3, "words", lint=("repeated",)), desk.said(4, "words", lint=("markup",)))
    writer = desk.writer(job)
    writer.flag_repeated(["words"], "repeated")
    assert desk.labels(3)[0].lint == ("repeated",)
    assert desk.labels(4)[0].lint == ("markup", "repeated")
    before = desk.state(4).rev
    writer.flag_repeated(["words"], "repeated")
    writer.flag_repeated([], "repeated")
    assert desk.labels(4)[0].lint == ("markup", "repeated")
    assert desk.state(4).rev == before


def test_what_people_decided_stays(desk: Labelings):
    job = desk.job()
    desk.write(job, *(desk.said(at, "words") for at in (2, 3, 4)))
    accept_label(desk.store, desk.labels(2)[0].id)
    add_human_label(desk.store, desk.run.sae_id, 3, HumanLabel("mine"))
    reject_label(desk.store, desk.labels(4)[0].id)
    desk.writer(job).flag_repeated(["words"], "repeated")
    assert [desk.state(at).semantic_label for at in (2, 3, 4)] == ["words", "mine", None]


def test_a_worker_that_lost_its_job_flags_nothing(desk: Labelings):
    job = desk.job()
    desk.write(job, desk.said(3, "words"))
    with pytest.raises(ConflictError):
        desk.writer(job, refuse).flag_repeated(["words"], "repeated")
    assert desk.labels(3)[0].lint == ()


def test_without_a_job_nothing_is_flagged(desk: Labelings):
    desk.write(None, desk.said(3, "words"))
    desk.writer(None).flag_repeated(["words"], "repeated")
    assert desk.labels(3)[0].lint == ()


def test_thousands_of_labels_are_flagged_in_short_transactions(desk: Labelings):
    job, n, n_guarded = desk.job(), 3000, []
    desk.write(job, *(desk.said(at, "a\0b") for at in range(n)))
    desk.writer(job, lambda _session: n_guarded.append(1)).flag_repeated(["a\0b"], "repeated")
    assert len(n_guarded) > 1
    with desk.store.read() as session:
        states = session.scalars(select(FeatureStateRow.lint_flags)).all()
        n_in_force = session.scalar(select(func.count()).where(FeatureStateRow.current_label_id.is_not(None)))
        lints = session.scalars(select(LabelRow.lint)).all()
    assert n_in_force == 0
    assert len(states) == len(lints) == n
    assert all(lint == ["repeated"] for lint in (*states, *lints))
