"""`featlas serve` as a process: what it refuses, what it says, how it ends, and that it works on jobs."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.e2e.command import Featlas
from tests.e2e.conftest import PlantedRun
from tests.e2e.serving import serving

PATIENCE_S = 120
IDLE_S = 6
"""Longer than the server's library would keep a connection that nobody uses."""


def get(url: str, body: dict | None = None) -> dict:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=content, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def is_answered(connection: http.client.HTTPConnection) -> bool:
    """Whether one request more is answered over the same connection."""
    had = connection.sock
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    answer.read()
    return answer.status == 200 and had in (None, connection.sock)


def wait_for(url: str, state: str) -> dict:
    """The job, once it is in that state."""
    deadline = time.monotonic() + PATIENCE_S
    while (job := get(url))["state"] != state:
        assert time.monotonic() < deadline, job
        assert job["state"] in ("queued", "running"), job
        time.sleep(0.2)
    return job


def test_an_empty_home_is_served_and_ctrl_c_ends_it(tmp_path: Path):
    with serving(Featlas(tmp_path / "home")) as server:
        assert get(f"{server.url}api/v1/runs")["items"] == []
        assert server.stop() == 0
    assert "Traceback" not in "".join(server.lines)


@pytest.mark.parametrize("host", ["192.0.2.7", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines_is_refused(tmp_path: Path, host: str):
    done = Featlas(tmp_path / "home").run("serve", "--host", host, "--port", 0, code=4)
    assert host in done.stderr
    assert "address of this machine" in done.stderr


def test_a_port_in_use_is_said_with_what_to_do(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = Featlas(tmp_path / "home").run("serve", "--port", port, code=4)
    assert str(port) in done.stderr
    assert "another --port" in done.stderr


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_an_impossible_port_is_refused(tmp_path: Path, port: int):
    assert "65535" in Featlas(tmp_path / "home").run("serve", "--port", port, code=2).stderr


def test_ipv6_is_this_machine_too(tmp_path: Path):
    with serving(Featlas(tmp_path / "home"), "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert get(f"{server.url}api/v1/health")["has_runner"] is True


def test_the_server_never_loads_torch(planted_run: PlantedRun):
    """Nor anything that needs it: in a fresh process, everything that serving imports, and every route called."""
    script = """
import sys
from fastapi.testclient import TestClient
from pathlib import Path
from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.entry import web
from featlas.entry.worker import load_settings
from featlas.pipeline.registry import KINDS
settings = load_settings()
with web.open_store(settings) as store:
    specs = {name: kind.spec_class for name, kind in KINDS.items()}
    here = Surroundings(store, settings.artifacts_path, specs, lambda job: None, False, "1")
    with TestClient(create_app(here, ui=Path("/nowhere")), base_url="http://localhost") as client:
        sae = client.get("/api/v1/saes").json()[0]["uid"]
        for path in ("health", "runs", "jobs", f"saes/{sae}/features", f"saes/{sae}/features/7",
                     f"saes/{sae}/facets", f"saes/{sae}/matches", f"saes/{sae}/documents/0?feature=7"):
            assert client.get("/api/v1/" + path).status_code == 200, path
print([name for name in ("torch", "transformers", "datasets", "numba", "pandas") if name in sys.modules])
"""
    environment = planted_run.featlas.environment()
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_an_extraction_asked_for_over_the_web_is_the_same_as_the_commands(planted_run: PlantedRun, tmp_path: Path):
    featlas = Featlas(tmp_path / "home")
    planted = planted_run.planted
    spec = {
        "model": str(planted.model),
        "sae": str(planted.sae),
        "text": [str(planted_run.text)],
        "ctx_len": 32,
        "null_features": 16,
        "name": "over the web",
    }
    with (
        serving(featlas) as server,
        closing(http.client.HTTPConnection(urlsplit(server.url).netloc)) as idle,
    ):
        api = f"{server.url}api/v1"
        assert is_answered(idle)
        began = time.monotonic()
        job = get(f"{api}/jobs", {"kind": "extraction", "spec": spec})
        done = wait_for(f"{api}/jobs/{job['id']}", "succeeded")
        run = get(f"{api}/runs/{done['run']}")
        assert (run["name"], run["state"], run["job_state"]) == ("over the web", "finished", "succeeded")
        page = get(f"{api}/saes/{run['sae']}/features?limit=200")
        labeled = get(f"{api}/jobs", {"kind": "labeling", "spec": {"run": run["uid"]}})
        wait_for(f"{api}/jobs/{labeled['id']}", "succeeded")
        shown = get(f"{api}/saes/{run['sae']}/features?q=is:labeled")
        time.sleep(max(0, IDLE_S - (time.monotonic() - began)))
        assert is_answered(idle), "a connection that was idle is closed"
    by_command = {row["feature_index"]: row for row in planted_run.featlas.json("features", planted_run.run)}
    assert len(page["items"]) == len(by_command)
    for row in page["items"]:
        expected = by_command[row["feature_index"]]
        names = ("n_fires", "activation_frequency", "mean_activation", "max_activation", "histogram")
        assert {name: row[name] for name in names} == {name: expected[name] for name in names}
    assert shown["n_matches"] > 0


def test_a_document_shows_exactly_the_activations_of_the_run(planted_run: PlantedRun):
    with serving(planted_run.featlas) as server:
        (sae,) = get(f"{server.url}api/v1/saes")
        of_sae = f"{server.url}api/v1/saes/{sae['uid']}"
        # Other tests let other texts be extracted in this home, and the last run is the one shown unless told.
        (run,) = [run for run in get(f"{server.url}api/v1/runs")["items"] if run["name"] == "planted"]
        feature = get(f"{of_sae}/features/7?run={run['uid']}")
        example = feature["bands"][0]["items"][0]
        document = get(f"{of_sae}/documents/{example['document']}?feature=7&n=4096&run={run['uid']}")
    around = {
        token["position"] + example["token_offset"] - _n_bos(example): token["value"]
        for mark in example["content"]["marks"]
        for token in mark["tokens"]
        if token["value"] is not None
    }
    shown = {
        token["position"] + document["first_token"]: token["value"]
        for mark in document["content"]["marks"]
        for token in mark["tokens"]
        if token["value"] is not None
    }
    assert around
    assert around.items() <= shown.items()
    assert document["content"]["text"] in planted_run.documents


def _n_bos(example: dict) -> int:
    """The BOS that was put in front of the context is no token of the document."""
    return 1 if example["content"]["text"].startswith("<") else 0


def test_a_job_that_runs_when_the_server_ends_goes_back_to_the_queue(planted_run: PlantedRun, tmp_path: Path):
    featlas = Featlas(tmp_path / "home")
    text = tmp_path / "long.jsonl"
    text.write_text(planted_run.text.read_text() * 2)
    planted = planted_run.planted
    spec = {"model": str(planted.model), "sae": str(planted.sae), "text": [str(text)], "ctx_len": 32}
    with serving(featlas) as server:
        job = get(f"{server.url}api/v1/jobs", {"kind": "extraction", "spec": spec})
        wait_for(f"{server.url}api/v1/jobs/{job['id']}", "running")
        assert server.stop(signal.SIGTERM) == 0
    assert featlas.json("jobs", "show", job["id"])[-1]["state"] == "queued"
    with serving(featlas) as server:
        wait_for(f"{server.url}api/v1/jobs/{job['id']}", "succeeded")
