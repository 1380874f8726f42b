"""A life of labels from a language model at the command line: dry run, budget, failures, a bad key, and going on."""

from collections.abc import Iterator

import pytest
from tests.e2e.asking import AskingHome, make_asking_home

from featlas.testing.chat_scripts import Status, answer_label, answer_mixed
from featlas.testing.planted_sae import Planted
from featlas.testing.scripted_chat import ScriptedChat, running_chat_server


@pytest.fixture(scope="module")
def chat() -> Iterator[ScriptedChat]:
    with running_chat_server(answer_label) as running:
        yield running


@pytest.fixture(scope="module")
def asking(planted: Planted, tmp_path_factory: pytest.TempPathFactory, chat: ScriptedChat) -> AskingHome:
    return make_asking_home(planted, tmp_path_factory.mktemp("commands"), chat.url)


def test_a_life_of_labels_from_a_language_model(asking: AskingHome, chat: ScriptedChat) -> None:
    label = ("label", "many", "--no-rules", "--provider", "openai")
    (estimate,) = asking.featlas.json(*label, "--estimate")
    n_features = estimate["n_features"]
    assert n_features > 80

    tried = asking.run("--dry-run", 3)
    assert tried.stdout.count("label of ") == 3
    assert "a dry run: no label was kept" in tried.stdout
    assert "asking gpt-4o-mini (openai) about 3 features" in tried.stderr
    assert len(chat.requests) == 3
    assert asking.labels(asking.newest_job()["job"]) == []

    poor = asking.run("--budget-tokens", 60_000)
    assert "the budget is reached: " in poor.stdout
    first = asking.newest_job()["job"]
    n_labeled = len(asking.labels(first))
    assert 3 < n_labeled < n_features
    assert len(chat.requests) == n_labeled  # the dry run's answers were known
    assert ", 3 answers known before" in poor.stdout

    chat.script = lambda _: Status(401, message="bad key")
    refused = asking.run("--concurrency", 3, code=2)
    assert "bad key; nothing more was asked. Check the key, then resume the job" in refused.stderr
    stopped = asking.newest_job()
    assert (stopped["state"], asking.labels(stopped["job"])) == ("failed", [])

    chat.script = answer_mixed
    done = asking.run("--concurrency", 3)
    assert f"going on with job {stopped['job']}, which does the same and was failed" in done.stderr
    assert "failed " in done.stdout
    assert ": the model refused" in done.stdout
    retry = ("--retry-of", stopped["job"])
    who = "--provider openai --model gpt-4o-mini --template general"
    assert f"next: featlas label 1 {who} --retry-of {stopped['job']}" in done.stdout
    said = asking.labels(stopped["job"])
    assert len(said) == n_features - n_labeled
    n_failed = sum(one.failure_cause is not None for one in said)

    chat.script = answer_label
    n_requests = len(chat.requests)
    (result,) = asking.featlas.json(*label, *retry)
    assert result["n_labeled"] == n_failed == len(chat.requests) - n_requests > 0
    assert len(asking.featlas.quick.json("features", "many", "is:labeled", "--limit", 1000)) == n_features
    assert "about 0 features" in asking.featlas.run(*label, "--estimate").stdout
