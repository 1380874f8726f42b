"""The command line as a contract: shapes of the JSON, order, exit codes, where output goes."""

import json
import os
import pty
import re
from pathlib import Path
from typing import Any

import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.command import Featlas
from tests.e2e.conftest import PlantedRun

from featlas.testing.planted_sae import ONE_TOKEN

Json = dict[str, Any]

RUN_KEYS = {"run", "uid", "name", "state", "is_partial", "model", "sae", "hook_point", "corpus", "n_features"} | {
    "n_documents", "n_contexts", "n_positions", "n_tokens", "n_excluded", "quality", "is_forced", "job"
}  # fmt: skip
FEATURE_KEYS = {"feature_index", "label", "n_fires", "n_tokens", "activation_frequency", "n_contexts_fired"} | {
    "context_frequency", "mean_activation", "std_activation", "max_activation", "histogram", "top_tokens", "is_dead",
    "is_dense", "n_fires_excluded", "intervals"
}  # fmt: skip
TOKEN_KEYS = {"token_id", "token", "n_fires", "n_occurrences", "mean_activation", "max_activation"} | {
    "p_fire_given_token", "p_token_given_fire"
}  # fmt: skip
EXAMPLE_KEYS = {"band", "document", "context", "token_offset", "text", "token_spans", "peak", "positions", "values"} | {
    "max_activation", "n_similar"
}  # fmt: skip
JOB_KEYS = {"job", "kind", "state", "attempt", "progress", "result", "error_class", "error_message", "spec"}


def indices(lines: list[Json]) -> list[int]:
    return [line["feature_index"] for line in lines]


@pytest.fixture(scope="module")
def features(planted_run: PlantedRun) -> list[Json]:
    return planted_run.featlas.json("features", planted_run.run)


def test_extract_prints_the_run(planted_run: PlantedRun) -> None:
    assert planted_run.printed.keys() >= RUN_KEYS
    assert isinstance(planted_run.run, int)
    assert ("planted", "finished", False) == tuple(
        planted_run.printed[name] for name in ("name", "state", "is_partial")
    )


def test_runs_are_listed_newest_first(planted_run: PlantedRun) -> None:
    (line,) = [line for line in planted_run.featlas.json("runs") if line["run"] == planted_run.run]
    assert planted_run.printed == line


def test_a_run_has_three_names(planted_run: PlantedRun) -> None:
    featlas = planted_run.featlas
    by_number = featlas.run("feature", planted_run.run, ONE_TOKEN, "--json").stdout
    assert by_number == featlas.run("feature", "planted", ONE_TOKEN, "--json").stdout
    assert by_number == featlas.run("feature", planted_run.printed["uid"][:20], ONE_TOKEN, "--json").stdout


def test_features_without_a_limit_are_all_of_them(features: list[Json], planted_run: PlantedRun) -> None:
    assert sorted(indices(features)) == list(range(planted_run.printed["n_features"]))
    assert all(feature.keys() >= FEATURE_KEYS for feature in features)
    assert any(feature["is_dead"] for feature in features)
    assert all(token.keys() == TOKEN_KEYS for feature in features for token in feature["top_tokens"])


def test_the_default_order_is_by_frequency(features: list[Json]) -> None:
    assert indices(features) == indices(
        sorted(features, key=lambda f: (-f["activation_frequency"], f["feature_index"]))
    )


@pytest.mark.parametrize("key", ["max_activation", "-max_activation", "feature_index", "-n_contexts_fired"])
def test_sort(planted_run: PlantedRun, features: list[Json], key: str) -> None:
    name, sign = key.removeprefix("-"), -1 if key.startswith("-") else 1

    def rank(feature: Json) -> tuple[bool, float, int]:  # what has no value comes last either way
        value = feature[name]
        return value is None, sign * (value or 0), feature["feature_index"]

    found = planted_run.featlas.quick.json("features", planted_run.run, "--sort", key)
    assert indices(sorted(features, key=rank)) == indices(found)


@pytest.mark.parametrize(
    ("query", "is_match"),
    [
        (["-is:dead"], lambda f: not f["is_dead"]),
        (["-is:dense", "-is:dead"], lambda f: not f["is_dense"] and not f["is_dead"]),
        (["-max_activation:>2.5"], lambda f: not (f["max_activation"] or 0) > 2.5),
        (["density:0.2..0.4", "(is:dense OR is:dead)"], lambda f: 0.2 <= f["activation_frequency"] <= 0.4),
        (['token:" the"', "-is:dense"], lambda f: f["feature_index"] == ONE_TOKEN),
    ],
)
def test_queries_that_begin_with_a_dash_and_others(
    planted_run: PlantedRun, features: list[Json], query: list[str], is_match: Any
) -> None:
    found = planted_run.featlas.quick.json("features", planted_run.run, *query)
    assert indices([f for f in features if is_match(f)]) == indices(found)


def test_limit(planted_run: PlantedRun, features: list[Json]) -> None:
    assert features[:3] == planted_run.featlas.json("features", planted_run.run, "--limit", 3)
    assert [] == planted_run.featlas.quick.json("features", planted_run.run, "--limit", 0)


def test_null_features_are_shown_only_when_asked_for(planted_run: PlantedRun) -> None:
    found = planted_run.featlas.quick.json("features", planted_run.run, "is:null")
    assert 16 == len(found)
    assert all(feature["is_null"] for feature in found)
    assert min(indices(found)) == planted_run.printed["n_features"]


def test_one_feature_has_its_examples(planted_run: PlantedRun, features: list[Json]) -> None:
    (feature,) = planted_run.featlas.json("feature", planted_run.run, ONE_TOKEN)
    examples = feature.pop("examples")
    assert (feature.pop("logits"), feature.pop("neighbours")) == (None, None)  # not computed
    assert feature in features
    assert all(example.keys() >= EXAMPLE_KEYS for example in examples)
    for example in examples:
        assert len(example["positions"]) == len(example["values"])
        assert all(0 <= position < len(example["token_spans"]) for position in example["positions"])


def test_tables_for_people_are_not_json(planted_run: PlantedRun) -> None:
    featlas = planted_run.featlas
    table = featlas.run("features", planted_run.run, "--limit", 5)
    assert 6 == len(table.stdout.splitlines())
    assert "80 of 80 features match" in table.stderr
    page = featlas.run("feature", planted_run.run, ONE_TOKEN).stdout
    assert "feature 7" in page
    assert "fires on" in page
    assert "planted" in featlas.run("runs").stdout
    assert "succeeded" in featlas.run("jobs", "ls").stdout
    shown = featlas.run("jobs", "show", planted_run.printed["job"]).stdout
    assert "n_tokens" in shown
    assert "{" not in shown
    controls = featlas.run("features", planted_run.run, "is:null", "--limit", 1).stderr
    assert "0 of 80 features match, and 16 random directions" in controls


def test_jobs_are_listed_and_shown(planted_run: PlantedRun) -> None:
    job = planted_run.printed["job"]
    (listed,) = [line for line in planted_run.featlas.json("jobs", "ls") if line["job"] == job]
    assert listed.keys() >= JOB_KEYS
    (shown,) = planted_run.featlas.json("jobs", "show", job)
    assert listed == {name: value for name, value in shown.items() if name != "events"}
    assert ["queued", "started", "succeeded"] == [event["kind"] for event in shown["events"]]
    assert planted_run.run == shown["result"]["run"]


def test_reuse_returns_the_finished_run_without_a_new_job(planted_run: PlantedRun) -> None:
    featlas = planted_run.featlas
    n_jobs = len(featlas.json("jobs", "ls"))
    assert planted_run.printed == featlas.json("extract", *planted_run.spec(), "--reuse")[-1]
    assert n_jobs == len(featlas.json("jobs", "ls"))


def test_the_spec_of_a_finished_run_makes_a_new_one(planted_run: PlantedRun) -> None:
    (again,) = planted_run.featlas.json("extract", *planted_run.spec())
    assert again["run"] > planted_run.run
    assert again["quality"] == planted_run.printed["quality"]
    taken = planted_run.featlas.run("extract", *planted_run.spec(), "--name", "planted", code=4)
    assert "planted" in taken.stderr


def test_check_prints_its_verdict(planted_run: PlantedRun) -> None:
    where = ("--model", planted_run.planted.model, "--sae", planted_run.planted.sae, "--text", planted_run.text)
    n_jobs = len(planted_run.featlas.json("jobs", "ls"))
    (found,) = planted_run.featlas.json("check", *where)
    assert (False, 1.0) == (found["is_refused"], round(found["explained_variance"], 6))
    assert found.keys() >= {"verdict", "l0", "cosine", "dead_share", "n_tokens", "n_sinks", "alternatives"}
    assert n_jobs == len(planted_run.featlas.json("jobs", "ls"))  # a check is no job
    assert "Loading weights" not in planted_run.featlas.run("check", *where).stderr  # no library's own progress bar


def test_db_commands(planted_run: PlantedRun, tmp_path: Path) -> None:
    (found,) = planted_run.featlas.json("db", "check")
    assert found["is_current"]
    fresh = Featlas(tmp_path / "home")
    differs = fresh.run("db", "check", code=4).stderr
    assert "is at revision none, this version's is" in differs
    assert differs.endswith("run `featlas db upgrade`\n")
    fresh.run("db", "upgrade")
    fresh.run("db", "check")


def test_help_and_version_need_nothing(tmp_path: Path) -> None:
    featlas = Featlas(tmp_path / "file" / "home")
    (tmp_path / "file").write_text("")
    for arguments in (["--help"], ["extract", "--help"], ["jobs", "--help"], ["--version"]):
        assert featlas.run(*arguments).stdout
    assert "--sink-norm-ratio" in featlas.run("extract", "--help").stdout


def test_progress_goes_to_the_terminal_and_results_to_the_pipe(planted_run: PlantedRun, tmp_path: Path) -> None:
    text = save_documents(tmp_path / "long.jsonl", made_documents(300, seed=8))
    terminal, its_end = pty.openpty()
    process = planted_run.featlas.start("extract", *planted_run.spec(text), "--json", stderr=its_end)
    os.close(its_end)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        shown += part
    stdout, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 0
    assert ["run"] == [name for name in json.loads(stdout) if name == "run"]
    words = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown).decode()
    for phrase in ("loading the model", "describing features", "features/s"):
        assert phrase in words


def test_nothing_but_results_where_nobody_looks(planted_run: PlantedRun) -> None:
    done = planted_run.featlas.run("extract", *planted_run.spec(), "--reuse", "--json")
    assert "" == done.stderr
    assert 1 == len(done.lines)
