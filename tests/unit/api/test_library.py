from tests.builders.stored_runs import make_run, publish_run, register_inputs
from tests.unit.api.conftest import Served

from featlas.domain import JobState
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.labels import HumanLabel, accept_label, add_human_label


def test_health_says_what_serves(served: Served, dialect: str):
    assert served.get("health").json() == {"version": "9.9", "database": dialect, "has_runner": False, "access": "open"}


def test_models_and_saes_are_listed_with_the_run_that_is_meant(served: Served):
    (model,) = served.get("models").json()
    assert (model["name"], model["d_model"], model["n_layers"]) == ("tiny", 8, 2)
    (sae,) = served.get("saes").json()
    assert (sae["name"], sae["d_sae"], sae["origin"], sae["newest_run"]) == (
        "planted sae",
        4,
        "external",
        served.run.id,
    )
    for ref in (sae["uid"], sae["uid"][:13], str(sae["id"]), "planted sae"):
        assert served.get(f"saes/{ref}").json() == sae


def test_an_unknown_sae_is_not_found_with_what_there_is(served: Served):
    answer = served.get("saes/nothing")
    assert (answer.status_code, answer.json()["error_class"]) == (404, "NotFoundError")
    assert "planted sae" in answer.json()["detail"]


def test_a_name_that_several_saes_have_asks_which(served: Served):
    register_inputs(served.store, mark="2")
    answer = served.get("saes/planted sae")
    assert answer.status_code == 422
    assert served.sae.uid in answer.json()["detail"]


def test_a_run_comes_with_its_health(served: Served):
    (run,) = served.get("runs").json()["items"]
    assert run == served.get(f"runs/{served.run.id}").json()
    assert (run["name"], run["state"], run["sae"]) == ("small", "finished", served.sae.uid)
    assert (run["n_tokens"], run["n_positions"], run["n_excluded"]) == (13, 15, {"bos": 2, "sink": 0})
    assert run["quality"] == {"l0": 1.5, "fvu": None}
    assert (run["n_dead"], run["n_alive"]) == (None, None)  # this run's quality does not tell
    # The features fire 10, 0, 12 and 13 times in 13 tokens: three in the last half decade.
    assert run["density_histogram"] == [0] * 13 + [3]


def test_labels_are_counted_for_the_sae(served: Served):
    add_human_label(served.store, served.sae.id, 2, HumanLabel("courts"), created_by="Ada")
    state = add_human_label(served.store, served.sae.id, 3, HumanLabel("rules"))
    assert state.current_label_id is not None
    accept_label(served.store, state.current_label_id)
    labels = served.get(f"runs/{served.run.id}").json()["labels"]
    assert labels == {"n_features": 4, "n_labeled": 2, "n_human": 2, "n_reviewed": 2}


def test_a_run_shows_the_state_of_its_job(served: Served):
    job = jobs.enqueue(served.store, "extraction", ExtractSpec(model="m", sae="s", text=("t",)))
    make_run(served.store, register_inputs(served.store), name="begun", job_id=job.id)
    run = served.get("runs/begun").json()
    assert (run["job"], run["job_state"], run["state"], run["snapshot"]) == (job.id, JobState.QUEUED, "pending", None)
    assert (run["density_histogram"], run["quality"], run["n_tokens"]) == (None, None, None)


def test_pages_of_runs_hold_each_run_once(served: Served):
    inputs = register_inputs(served.store)
    for at in range(4):
        make_run(served.store, inputs, name=f"run {at}")
    names, after = [], None
    while True:
        page = served.get("runs", limit=2, **({"after": after} if after else {})).json()
        names += [run["name"] for run in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert names == ["run 3", "run 2", "run 1", "run 0", "small"]


def test_a_page_mark_of_something_else_is_refused(served: Served):
    assert served.get("runs", after="x").status_code == 422


def test_the_newest_finished_run_is_meant_and_a_partial_one_only_where_there_is_no_other(served: Served):
    inputs = register_inputs(served.store)
    partial = make_run(served.store, inputs, name="partial")
    publish_run(served.store, partial, is_partial=True)
    assert served.get(f"saes/{served.sae.uid}").json()["newest_run"] == served.run.id
    newer = make_run(served.store, inputs, name="newer")
    publish_run(served.store, newer)
    assert served.get(f"saes/{served.sae.uid}").json()["newest_run"] == newer.id


def test_a_run_of_another_sae_is_not_shown_as_this_ones(served: Served):
    other = make_run(served.store, register_inputs(served.store, mark="2"), name="other")
    publish_run(served.store, other)
    answer = served.of_sae("features", run="other")
    assert answer.status_code == 404
    assert "planted sae" in answer.json()["detail"]


def test_an_sae_without_anything_published_is_a_conflict(served: Served):
    inputs = register_inputs(served.store, mark="2")
    make_run(served.store, inputs, name="pending")
    answer = served.get(f"saes/{inputs.sae_id}/features")
    assert (answer.status_code, answer.json()["error_class"]) == (409, "ConflictError")
