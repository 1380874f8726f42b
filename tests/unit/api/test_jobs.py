import pytest
from tests.unit.api.conftest import Served

from featlas.store import jobs
from featlas.store.lease_owner import Owner

SPEC = {"model": "m", "sae": "s", "text": ["a.txt"], "tokens": 1000}


def start(served: Served, **spec: object):
    return served.client.post("/api/v1/jobs", json={"kind": "extraction", "spec": {**SPEC, **spec}})


def test_a_job_is_queued_and_the_bell_rings(served: Served):
    answer = start(served)
    assert answer.status_code == 201
    job = answer.json()
    assert (job["kind"], job["state"], job["attempt"], job["spec"]["ctx_len"]) == ("extraction", "queued", 1, 128)
    assert served.woken == [job["id"]]
    assert served.get(f"jobs/{job['id']}").json() == job
    assert served.get("jobs").json()["items"] == [job]


def test_the_same_work_is_not_queued_twice(served: Served):
    first = start(served).json()["id"]
    answer = start(served)
    assert answer.status_code == 409
    assert f"job {first}" in answer.json()["detail"]


def test_a_spec_is_checked_as_the_command_checks_it(served: Served):
    answer = start(served, ctx_len=0, nonsense=1)
    assert answer.status_code == 422
    assert "ctx_len" in answer.json()["detail"]
    assert "nonsense" in answer.json()["detail"]
    assert served.get("jobs").json()["items"] == []


def test_an_unknown_kind_names_those_there_are(served: Served):
    answer = served.client.post("/api/v1/jobs", json={"kind": "cooking", "spec": {}})
    assert answer.status_code == 422
    assert "extraction" in answer.json()["detail"]


def test_a_queued_job_is_cancelled_and_goes_on_when_asked(served: Served):
    job = start(served).json()["id"]
    assert served.client.post(f"/api/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert served.client.post(f"/api/v1/jobs/{job}/cancel").status_code == 409
    resumed = served.client.post(f"/api/v1/jobs/{job}/resume").json()
    assert (resumed["state"], resumed["attempt"]) == ("queued", 2)
    assert served.woken == [job, job]


def test_only_a_running_job_is_paused(served: Served):
    job = start(served).json()["id"]
    assert served.client.post(f"/api/v1/jobs/{job}/pause").status_code == 409
    jobs.claim(served.store, Owner.of_this_process(), 30.0, job_id=job)
    assert served.client.post(f"/api/v1/jobs/{job}/pause").json()["pause_requested"] is True


def test_events_go_on_after_those_known(served: Served):
    job = start(served).json()["id"]
    served.client.post(f"/api/v1/jobs/{job}/cancel")
    all_events = served.get(f"jobs/{job}/events").json()
    assert [event["kind"] for event in all_events["items"]] == ["queued", "cancelled"]
    assert all_events["job"]["state"] == "cancelled"
    assert [event["seq"] for event in served.get(f"jobs/{job}/events", after=1).json()["items"]] == [2]


def test_pages_and_filters_of_jobs(served: Served):
    ids = [start(served, tokens=n).json()["id"] for n in range(1, 6)]
    served.client.post(f"/api/v1/jobs/{ids[0]}/cancel")
    page = served.get("jobs", limit=3).json()
    assert [job["id"] for job in page["items"]] == ids[:1:-1]
    rest = served.get("jobs", limit=3, after=page["next"]).json()
    assert ([job["id"] for job in rest["items"]], rest["next"]) == ([ids[1], ids[0]], None)
    assert [job["id"] for job in served.get("jobs", state="cancelled").json()["items"]] == [ids[0]]
    assert served.get("jobs", kind="labeling").json()["items"] == []


@pytest.mark.parametrize("key", ["id", "name", "uid"])
def test_a_labeling_names_its_run_by_uid_however_it_was_asked_for(served: Served, key: str):
    (run,) = served.get("runs").json()["items"]
    body = {"kind": "labeling", "spec": {"run": str(run[key])}}
    assert served.client.post("/api/v1/jobs", json=body).json()["spec"]["run"] == run["uid"]


def test_a_labeling_of_no_run_is_refused_without_a_job(served: Served):
    answer = served.client.post("/api/v1/jobs", json={"kind": "labeling", "spec": {"run": "nowhere"}})
    assert (answer.status_code, answer.json()["error_class"]) == (404, "NotFoundError")
    assert served.get("jobs").json()["items"] == []


def test_an_unknown_job_is_not_found(served: Served):
    for path in ("jobs/77", "jobs/77/events", f"jobs/{2**70}"):
        assert served.get(path).status_code in (404, 422)
    assert served.client.post("/api/v1/jobs/77/cancel").status_code == 404
