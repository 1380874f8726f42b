"""Which features a labeling job asks about, in which order, and why the others are left out."""

from pathlib import Path
from typing import Any

import pytest
from tests.builders.asked_runs import DEAD, make_asked_run
from tests.builders.labelings import Labelings
from tests.builders.stored_runs import make_run, register_inputs

from featlas.domain import FeatureFlag, LabelSource
from featlas.errors import ConflictError
from featlas.query import QueryError
from featlas.store.label_choice import Choice, choose_features
from featlas.store.labels import HumanLabel, accept_label, add_human_label, reject_label
from featlas.store.session import Store

LIVE = [at for at in range(10) if at != DEAD]


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Labelings:
    return Labelings(store, tmp_path)


def choose(desk: Labelings, job_id: int | None = None, **options: Any) -> Choice:
    return choose_features(desk.store, desk.run, desk.spec(**options), job_id)


def ordered(desk: Labelings, job_id: int | None = None, **options: Any) -> list[int]:
    return choose(desk, job_id, **options).features.tolist()


def chosen(desk: Labelings, job_id: int | None = None, **options: Any) -> list[int]:
    return sorted(ordered(desk, job_id, **options))


def human(desk: Labelings, feature: int) -> None:
    add_human_label(desk.store, desk.run.sae_id, feature, HumanLabel("mine"))


def test_features_with_a_flag_are_left_out(store: Store, tmp_path: Path):
    flags = {
        2: FeatureFlag.DENSE,
        3: FeatureFlag.SINK_ONLY,
        4: FeatureFlag.DUPLICATE,
        5: FeatureFlag.DUPLICATE | FeatureFlag.DENSE,
    }
    desk = Labelings(store, tmp_path, flags=flags)
    for provider in ({}, {"provider": "lexical"}):
        found = choose(desk, **provider)
        assert found.features.tolist() == [9, 8, 7, 6, 0]
        assert found.skipped["flagged"] == 5
        assert found.skipped["human"] == 0


def test_null_features_are_never_asked_about(store: Store, tmp_path: Path):
    desk = Labelings(store, tmp_path, flags={8: FeatureFlag.NULL, 9: FeatureFlag.NULL})
    assert chosen(desk) == [at for at in LIVE if at < 8]
    assert chosen(desk, query="is:null") == []


def test_the_query_says_which_and_in_which_order(desk: Labelings):
    assert ordered(desk) == LIVE[::-1]  # the most frequent first
    assert ordered(desk, query="n_fires:13..16 sort:n_fires") == [3, 4, 5, 6]
    assert ordered(desk, query="sort:-n_fires") == LIVE[::-1]
    assert ordered(desk, query="n_fires:..12 sort:n_fires") == [0, 2]
    assert ordered(desk, query="n_fires:1000..") == []
    with pytest.raises(QueryError):
        choose(desk, query="nonsense:3")


def test_what_people_labeled_is_left_alone(desk: Labelings):
    human(desk, 3)
    desk.write(desk.job(), desk.said(4))
    accept_label(desk.store, desk.labels(4)[0].id)
    for options in ({}, {"relabel": True}, {"provider": "lexical"}):
        found = choose(desk, **options)
        assert 3 not in found.features
        assert found.skipped["human"] == 1
    assert 4 in choose(desk, relabel=True).features  # accepted, but a machine's words


def test_a_language_model_is_not_asked_about_what_has_a_label(desk: Labelings):
    desk.write(desk.job(), desk.said(2), desk.said(3, lint=("markup",)), desk.said(4, None), desk.failed(5))
    rule = desk.said(6, "the token", source=LabelSource.RULE, asked=None)
    desk.write(None, rule)
    desk.write(desk.job(), desk.said(7))
    reject_label(desk.store, desk.labels(7)[0].id)
    found = choose(desk)
    assert found.features.tolist() == [9, 8, 7, 5, 4, 3, 0]
    assert found.skipped == {"human": 0, "flagged": 1, "labeled": 2}
    assert chosen(desk, relabel=True) == LIVE
    assert chosen(desk, provider="lexical") == LIVE
    assert "labeled" not in choose(desk, relabel=True).skipped
    assert "labeled" not in choose(desk, provider="lexical").skipped


def test_a_job_that_goes_on_asks_nothing_again(desk: Labelings):
    job = desk.job()
    desk.write(job, desk.said(2), desk.said(3, None), desk.failed(4), desk.said(5, lint=("markup",)))
    desk.write(job, desk.said(6, "the token", source=LabelSource.RULE, asked=None))
    found = choose(desk, job.id, relabel=True)
    assert found.features.tolist() == [9, 8, 7, 6, 0]  # a rule is no answer: the rules are asked again
    assert found.skipped == {"human": 0, "flagged": 1, "answered": 4}
    assert chosen(desk, desk.job().id, relabel=True) == LIVE


def test_only_what_failed_is_asked_again(desk: Labelings):
    desk.write(desk.job(), desk.said(4))
    job = desk.job()
    desk.write(job, *(desk.failed(at) for at in (2, 3, 4, 5, 6)), desk.said(7))
    desk.write(desk.job(), desk.said(5), desk.failed(6))
    human(desk, 3)
    found = choose(desk, retry_of=job.id)
    # 3 has a person's label since, 5 a machine's; 6 failed again, and 4 failed beside an older label.
    assert found.features.tolist() == [6, 4, 2]
    assert found.skipped == {"human": 0, "flagged": 0}
    assert ordered(desk, retry_of=job.id, query="sort:n_fires") == [2, 4, 6]
    assert chosen(desk, retry_of=job.id, query="n_fires:13..") == [4, 6]
    retry = desk.job(retry_of=job.id)
    desk.write(retry, desk.failed(2))
    assert chosen(desk, retry.id, retry_of=job.id) == [4, 6]


def test_each_feature_has_one_reason(store: Store, tmp_path: Path):
    desk = Labelings(store, tmp_path, flags={3: FeatureFlag.DENSE})
    human(desk, 3)  # flagged as well
    job = desk.job()
    desk.write(job, desk.said(4), desk.said(5))
    human(desk, 5)  # answered as well
    found = choose(desk, job.id)
    assert found.skipped == {"human": 2, "flagged": 1, "answered": 1, "labeled": 0}
    assert len(found.features) + sum(found.skipped.values()) == 10
    assert list(found.skipped) == ["human", "flagged", "answered", "labeled"]


def test_the_choice_as_a_mask(desk: Labelings):
    found = choose(desk, query="n_fires:13..16 sort:-n_fires")
    assert found.n_features == 10
    assert found.is_wanted.tolist() == [at in (3, 4, 5, 6) for at in range(10)]
    assert found.features.tolist() == [6, 5, 4, 3]


def test_labels_of_features_that_another_run_has_do_no_harm(desk: Labelings):
    desk.write(desk.job(), desk.said(57))
    assert chosen(desk) == LIVE


def test_labels_of_another_sae_do_not_count(desk: Labelings, tmp_path: Path):
    other = Labelings(desk.store, tmp_path / "other", mark="other")
    other.write(other.job(), other.said(2))
    human(other, 3)
    assert chosen(desk) == LIVE
    assert chosen(other) == [0, *range(4, 10)]


def test_a_run_without_a_snapshot_has_nothing_to_choose_from(store: Store, tmp_path: Path):
    make_asked_run(store, tmp_path)
    pending = make_run(store, register_inputs(store), name="pending")
    desk = Labelings.__new__(Labelings)
    desk.store, desk.run = store, pending
    with pytest.raises(ConflictError):
        choose(desk)
