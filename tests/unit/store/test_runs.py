import pytest
from sqlalchemy import exc, update
from tests.builders.stored_runs import Inputs, make_run, publish_run, register_inputs

from featlas.domain import RunState
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.json_shapes import run_to_json
from featlas.store.runs import RunFacts, assign_job, create_run, fetch_run, find_runs, list_runs
from featlas.store.session import Store
from featlas.store.tables import JobRow, RunRow


@pytest.fixture
def inputs(store: Store) -> Inputs:
    return register_inputs(store)


def test_a_run_is_found_by_number_name_and_start_of_its_uid(store: Store, inputs: Inputs):
    run = make_run(store, inputs, "my run")
    other = make_run(store, inputs, "other")
    assert run.id != other.id
    with store.read() as session:
        assert fetch_run(session, run.id) == run
        assert fetch_run(session, str(run.id)) == run
        assert fetch_run(session, "my run") == run
        assert fetch_run(session, run.uid) == run
        assert fetch_run(session, run.uid.upper()) == run


def test_a_start_that_several_uids_share_is_ambiguous(store: Store, inputs: Inputs):
    first, second = make_run(store, inputs), make_run(store, inputs)
    with store.write() as session:
        for run, uid in ((first, "0190aaaa-1"), (second, "0190aaab-2")):
            session.execute(update(RunRow).where(RunRow.id == run.id).values(uid=uid))
    with store.read() as session:
        assert fetch_run(session, "0190aaaa").id == first.id
        with pytest.raises(InputError, match="starts with '0190aaa': 0190aaaa-1, 0190aaab-2"):
            fetch_run(session, "0190aaa")


@pytest.mark.parametrize("ref", ["nope", "99", "%", "_", "", "9" * 30, "fffffff"])
def test_an_unknown_run_names_some_that_exist(store: Store, inputs: Inputs, ref: str):
    make_run(store, inputs, "alpha")
    make_run(store, inputs, "beta")
    with store.read() as session, pytest.raises(NotFoundError, match=r"the newest runs are beta, alpha"):
        fetch_run(session, ref)


def test_an_unknown_run_in_an_empty_store_says_how_to_make_one(store: Store):
    with store.read() as session, pytest.raises(NotFoundError, match="there are no runs yet; `featlas extract`"):
        fetch_run(session, "1")


def test_an_empty_name_becomes_a_unique_one_made_of_the_sae(store: Store, inputs: Inputs):
    names = {make_run(store, inputs).name for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("planted-sae-") for name in names)


def test_a_taken_name_is_a_conflict_and_leaves_nothing(store: Store, inputs: Inputs):
    make_run(store, inputs, "mine")
    with pytest.raises(ConflictError, match="a run named 'mine' exists already"):
        make_run(store, inputs, "mine")
    with store.read() as session:
        assert [run.name for run in list_runs(session)] == ["mine"]


def test_a_name_of_digits_would_be_taken_for_a_number(store: Store, inputs: Inputs):
    with pytest.raises(InputError, match="digits alone mean a run's number"):
        make_run(store, inputs, "12")


def test_a_run_of_unknown_inputs_is_refused(store: Store, inputs: Inputs):
    with pytest.raises(exc.IntegrityError):
        make_run(store, Inputs(1, 99, inputs.sae_id, inputs.corpus_id))


def test_runs_are_listed_newest_first_in_pages(store: Store, inputs: Inputs):
    ids = [make_run(store, inputs).id for _ in range(5)]
    with store.read() as session:
        assert [run.id for run in list_runs(session)] == ids[::-1]
        assert [run.id for run in list_runs(session, limit=2)] == ids[:2:-1]
        assert [run.id for run in list_runs(session, limit=2, before_id=ids[3])] == ids[2:0:-1]


def test_runs_of_a_spec_are_found(store: Store, inputs: Inputs):
    run = make_run(store, inputs)
    with store.read() as session:
        assert find_runs(session, "f" * 64) == [run]
        assert find_runs(session, "e" * 64) == []


def test_ids_of_deleted_runs_are_not_given_again(store: Store, inputs: Inputs):
    run = make_run(store, inputs)
    with store.write() as session:
        session.delete(session.get_one(RunRow, run.id))
    assert make_run(store, inputs).id > run.id


def test_a_guard_that_refuses_keeps_the_run_from_being_made(store: Store, inputs: Inputs):
    def refuse(_session: object) -> None:
        raise ConflictError("taken over")

    facts = RunFacts(inputs.model_id, inputs.sae_id, inputs.corpus_id, {}, "0" * 64)
    with pytest.raises(ConflictError, match="taken over"):
        create_run(store, facts, refuse)
    with store.read() as session:
        assert list_runs(session) == []


def test_a_resumed_run_gets_the_new_job(store: Store, inputs: Inputs):
    run = make_run(store, inputs)
    with store.write() as session:
        job = JobRow(uid="j", kind="extraction", spec={}, spec_hash="0" * 64)
        session.add(job)
        session.flush()
        job_id = job.id
    assign_job(store, run.id, job_id)
    with store.read() as session:
        assert fetch_run(session, run.id).job_id == job_id


def test_the_json_of_a_run_holds_its_counts_once_published(store: Store, inputs: Inputs):
    run = make_run(store, inputs, "r", recipe={"threads": 2}, self_check={"ev": 0.7}, is_forced=True)
    before = run_to_json(run)
    assert (before["run"], before["state"], before["n_tokens"]) == (run.id, "pending", None)
    publish_run(store, run)
    with store.read() as session:
        published = fetch_run(session, run.id)
    after = run_to_json(published)
    assert set(after) == set(before)
    assert published.state is RunState.FINISHED
    assert (published.recipe, published.self_check, published.is_forced) == ({"threads": 2}, {"ev": 0.7}, True)
    expected = {
        "run": run.id,
        "uid": run.uid,
        "name": "r",
        "state": "finished",
        "is_partial": False,
        "model": "tiny",
        "sae": "planted sae",
        "hook_point": "blocks.1.hook_resid_post",
        "corpus": "three texts",
        "n_features": 4,
        "n_documents": 3,
        "n_contexts": 4,
        "n_positions": 15,
        "n_tokens": 13,
        "n_excluded": {"bos": 2, "sink": 0},
        "quality": {"l0": 1.5, "fvu": None},
        "is_forced": True,
        "job": None,
    }
    assert {name: after[name] for name in expected} == expected
    assert after["finished_at"].endswith("+00:00")
