"""A plan that cannot be made leaves nothing behind, and says why."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.builders import tiny_tokenizers
from tests.builders.plans import (
    assert_nothing_left,
    make_texts,
    plan_of,
    spec_of,
    write_corpus,
)

from featlas.errors import ConflictError, ExternalError, InputError, JobCancelled, NotFoundError
from featlas.pipeline.plan import inputs_fingerprint, load_plan, make_plan
from featlas.pipeline.progress import Meter, NeverStop, NoProgress, StopFlag
from featlas.sources.tokenizer import Tokenizer
from featlas.store import artifacts


@pytest.mark.parametrize("order", ["hash", "file"])
def test_an_empty_corpus_is_refused(tokenizer, tmp_path, order):
    folder = write_corpus(tmp_path / "texts", ["", ""])
    with pytest.raises(InputError, match=r"no document with a token in .*texts"):
        plan_of(spec_of(folder, order=order, tokens=10), tokenizer, tmp_path / "run")
    assert_nothing_left(tmp_path / "run")


def test_empty_documents_are_counted_but_have_no_number(tokenizer, tmp_path, packing):
    folder = write_corpus(tmp_path / "texts", ["", "a", "", "b"], 1)
    plan = plan_of(spec_of(folder, order="file", packing=packing), tokenizer, tmp_path / "run")
    assert (plan.n_documents, plan.record["n_documents_empty"]) == (2, 2)
    assert sorted(row["external_id"] for row in plan.documents()) == ["2", "4"]


def test_a_bos_that_the_tokenizer_lacks_is_refused(corpus_folder, tmp_path):
    words = Tokenizer.load(tiny_tokenizers.word_level(tmp_path / "words"))
    with pytest.raises(InputError, match="wants a BOS"):
        plan_of(spec_of(corpus_folder), words, tmp_path / "run")


def test_contexts_that_cannot_be_are_refused(corpus_folder, tokenizer, tmp_path):
    with pytest.raises(InputError, match="ctx_len 1 leaves no room"):
        plan_of(spec_of(corpus_folder, ctx_len=1), tokenizer, tmp_path / "run")
    with pytest.raises(InputError, match="ctx_len 300 is more than block_slots 256"):
        plan_of(spec_of(corpus_folder, ctx_len=300), tokenizer, tmp_path / "run")
    assert_nothing_left(tmp_path / "run")


def test_a_broken_text_leaves_no_plan(corpus_folder, tokenizer, tmp_path):
    with (Path(corpus_folder) / "2.jsonl").open("a") as file:
        file.write("{broken\n")
    for fields in ({}, {"order": "file"}, {"tokens": 10}):
        with pytest.raises(InputError, match=r"2\.jsonl:21: not JSON"):
            plan_of(spec_of(corpus_folder, **fields), tokenizer, tmp_path / "run")
        assert_nothing_left(tmp_path / "run")


def test_a_plan_is_made_once(corpus_folder, tokenizer, tmp_path):
    plan_of(spec_of(corpus_folder), tokenizer, tmp_path / "run")
    with pytest.raises(ConflictError, match="already holds a plan"):
        plan_of(spec_of(corpus_folder), tokenizer, tmp_path / "run")


def test_a_killed_attempt_is_cleared_away(corpus_folder, tokenizer, tmp_path):
    partial = tmp_path / "run" / "plan.partial"
    partial.mkdir(parents=True)
    (partial / "token_ids.npy").write_bytes(b"half")
    (partial / "spool.tokens").write_bytes(b"half")
    with pytest.raises(NotFoundError, match="no plan in"):
        load_plan(tmp_path / "run")
    plan = plan_of(spec_of(corpus_folder, tokens=100), tokenizer, tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["plan"]
    assert {path.suffix for path in artifacts.plan_path(plan.folder).iterdir()} == {".npy", ".json", ".jsonl"}


@pytest.mark.parametrize(
    ("fields", "n_checks"),
    [(fields, n) for fields in ({}, {"tokens": 10**6}, {"order": "file"}) for n in (0, 30, 60)]
    + [({"tokens": 10**6}, 120)],
)
def test_stopping_leaves_nothing(corpus_folder, tokenizer, tmp_path, n_checks, fields):
    class StopAfter(StopFlag):
        n = 0

        def check(self):
            self.n += 1
            if self.n > n_checks:
                self.cancel()
            super().check()

    with pytest.raises(JobCancelled):
        make_plan(spec_of(corpus_folder, **fields), tokenizer, True, tmp_path / "run", NoProgress(), StopAfter())
    assert_nothing_left(tmp_path / "run")


def test_progress_is_told(corpus_folder, tokenizer, tmp_path):
    meter = Meter()
    make_plan(spec_of(corpus_folder, tokens=10**6), tokenizer, True, tmp_path / "run", meter, NeverStop())
    snapshot = meter.snapshot()
    assert [(phase["phase"], phase["done"]) for phase in snapshot["phases"]] == [("read", 60)]
    assert (snapshot["phase"], snapshot["done"], snapshot["total"]) == ("tokenise", 60, 60)


class ProgressThat(NoProgress):
    """Does something at the start of a phase."""

    def __init__(self, act):
        self._act = act

    def phase(self, name, total=None, unit=""):
        if name == "tokenise":
            self._act()


@pytest.mark.parametrize("n_texts", [40, 59, 61, 60])
def test_texts_that_change_between_the_passes_are_noticed(corpus_folder, tokenizer, tmp_path, n_texts):
    progress = ProgressThat(lambda: write_corpus(Path(corpus_folder), make_texts(n_texts, seed=1)))
    with pytest.raises(ConflictError, match="while it was read; start again"):
        make_plan(spec_of(corpus_folder, tokens=10**6), tokenizer, True, tmp_path / "run", progress, NeverStop())
    assert_nothing_left(tmp_path / "run")


def test_a_plan_of_another_format_is_refused(corpus_folder, tokenizer, tmp_path):
    plan = plan_of(spec_of(corpus_folder), tokenizer, tmp_path / "run")
    path = artifacts.plan_path(plan.folder) / "plan.json"
    path.write_text(json.dumps({**plan.record, "format": 0}))
    with pytest.raises(ExternalError, match="a plan of format 0, expected 1"):
        load_plan(plan.folder)


def test_a_plan_without_one_of_its_arrays_is_refused(corpus_folder, tokenizer, tmp_path):
    plan_of(spec_of(corpus_folder), tokenizer, tmp_path / "run")
    (tmp_path / "run/plan/cause.npy").unlink()
    with pytest.raises(ExternalError, match="lacks cause"):
        load_plan(tmp_path / "run").corpus()


def test_inputs_are_known_by_path_size_and_time(corpus_folder, tmp_path):
    spec = spec_of(corpus_folder)
    first = inputs_fingerprint(spec)
    assert inputs_fingerprint(spec) == first
    path = Path(corpus_folder) / "1.jsonl"
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    touched = inputs_fingerprint(spec)
    path.write_text(path.read_text() + "\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    grown = inputs_fingerprint(spec)
    (Path(corpus_folder) / "3.txt").write_text("x")
    assert len({first, touched, grown, inputs_fingerprint(spec), inputs_fingerprint(spec_of("hf:a/b"))}) == 5
    with pytest.raises(NotFoundError):
        inputs_fingerprint(spec_of(str(tmp_path / "missing.txt")))


FULL_DISK = """
import resource, sys
from pathlib import Path
from featlas.errors import FeatlasError
from featlas.pipeline.plan import make_plan
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import ExtractSpec

model, text, run, order = sys.argv[1:]
tokenizer = Tokenizer.load(model)
spec = ExtractSpec(text=(text,), model="m", sae="s", ctx_len=16, order=order)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    make_plan(spec, tokenizer, True, Path(run), NoProgress(), NeverStop())
except FeatlasError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(("order", "name"), [("hash", "spool"), ("file", "token_ids.npy")])
def test_a_full_disk_leaves_nothing(corpus_folder, tmp_path, order, name):
    model = tiny_tokenizers.byte_level(tmp_path / "model")
    arguments = [str(model), corpus_folder, str(tmp_path / "run"), order]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == ExternalError.exit_code, done.stderr
    assert re.search(rf"could not write .*{name}.*: File too large; free disk space", done.stdout)
    assert_nothing_left(tmp_path / "run")
