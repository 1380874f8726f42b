"""Every option of an extraction changes what it says it changes."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.builders.made_texts import made_documents
from tests.integration.pipeline.workbench import Workbench
from tests.oracles import planted_counts
from tokenizers import Tokenizer

from featlas.errors import InputError
from featlas.pipeline.plan import load_plan
from featlas.specs import ExtractSpec
from featlas.store.artifacts import read_block_indptr
from featlas.store.json_shapes import feature_to_json, run_to_json
from featlas.store.read import fetch_feature, read_features
from featlas.store.runs import Run
from featlas.testing.planted_sae import DENSE, ONE_TOKEN, ROLE, SINK_ONLY, SINK_TOKEN, TOKEN, Planted
from featlas.testing.tiny_models import BOS


def features_of(workbench: Workbench, run: Run) -> list[dict[str, Any]]:
    with workbench.store.read() as session:
        return [feature_to_json(feature) for feature in read_features(session, run, range(run.n_features))]


def header_of(run: Run) -> dict[str, Any]:
    return run_to_json(run)


@pytest.fixture(scope="module")
def tokens(planted: Planted) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(planted.model / "tokenizer.json"))
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in made_documents()]


def test_no_option_goes_untested() -> None:
    here = Path(__file__).read_text()
    elsewhere = {"text", "text_field", "tokens_field", "model", "model_revision", "lm_dtype", "sae", "force"}
    assert [] == [name for name in ExtractSpec.model_fields if name not in elsewhere and f"{name}=" not in here]


@pytest.mark.parametrize("ctx_len", [8, 100])
def test_ctx_len(workbench: Workbench, planted: Planted, tokens: list[list[int]], ctx_len: int) -> None:
    ids = planted.ids
    expected = planted_counts.count(planted, tokens, ctx_len, bos=ids[BOS], sink=ids[SINK_TOKEN])
    run = workbench.extract(ctx_len=ctx_len)
    header = header_of(run)
    assert (expected.n_tokens, expected.n_contexts) == (header["n_tokens"], header["n_contexts"])
    for feature, known in zip(features_of(workbench, run), expected.features, strict=True):
        assert (len(known.values), len(known.contexts)) == (feature["n_fires"], feature["n_contexts_fired"])


def test_packing(workbench: Workbench, planted: Planted, tokens: list[list[int]]) -> None:
    """Joined documents fill their contexts, split by split, with a BOS in front of each and between documents."""
    ids = planted.ids
    run = workbench.extract(packing="packed")
    header = header_of(run)
    occurrences = Counter(token for document in tokens for token in document)
    assert occurrences.total() - occurrences[ids[SINK_TOKEN]] == header["n_tokens"]
    assert occurrences[ids[TOKEN]] == features_of(workbench, run)[ONE_TOKEN]["n_fires"]
    corpus = workbench.plan_of(run).corpus()
    assert {32} == set(corpus.context_n.tolist()[:-2])  # all full but the last one of each split
    assert header["n_contexts"] < header_of(workbench.extract())["n_contexts"]
    assert header["n_excluded"]["bos"] == header["n_contexts"] + sum(map(bool, tokens)) - 2


def test_sink_norm_ratio(workbench: Workbench, planted: Planted, tokens: list[list[int]]) -> None:
    ids = planted.ids
    run = workbench.extract(sink_norm_ratio="off")
    expected = planted_counts.count(planted, tokens, 32, bos=ids[BOS], sink=None)
    header, features = header_of(run), features_of(workbench, run)
    assert (expected.n_tokens, {"bos": expected.n_contexts, "sink": 0}) == (header["n_tokens"], header["n_excluded"])
    assert (len(expected.features[SINK_ONLY].values), False) == (
        features[SINK_ONLY]["n_fires"],
        features[SINK_ONLY]["is_sink_only"],
    )
    limit = workbench.extract(sink_norm_ratio=20).self_check
    default = workbench.extract().self_check
    assert limit is not None
    assert default is not None
    assert pytest.approx(2 * default["sink_norm_limit"], rel=1e-9) == limit["sink_norm_limit"]


def test_threshold(workbench: Workbench, planted: Planted, tokens: list[list[int]]) -> None:
    ids, threshold = planted.ids, 1.5
    high = Planted(
        planted.model, planted.sae, np.where(planted.activations > threshold, planted.activations, 0), planted.ids
    )
    expected = planted_counts.count(high, tokens, 32, bos=ids[BOS], sink=ids[SINK_TOKEN])
    features = features_of(workbench, workbench.extract(threshold=threshold))
    assert [len(known.values) for known in expected.features] == [feature["n_fires"] for feature in features]
    assert 0 == features[DENSE]["n_fires"] < features[ONE_TOKEN]["n_fires"]


def test_batch_size(workbench: Workbench) -> None:
    """Another plan of the same slots; with exact numbers the result is the same."""
    narrow, wide = (workbench.extract(batch_size=n, block_slots=4096) for n in (1, 64))
    plans = [workbench.plan_of(run) for run in (narrow, wide)]
    assert [1, 64] == [plan.record["batch_size"] for plan in plans]
    assert len(plans[0].batches(0)) > len(plans[1].batches(0))
    assert features_of(workbench, narrow) == features_of(workbench, wide)


def test_block_slots(workbench: Workbench) -> None:
    small, large = workbench.extract(block_slots=256), workbench.extract(block_slots=2048)
    assert workbench.plan_of(small).n_blocks > 4 * workbench.plan_of(large).n_blocks
    assert features_of(workbench, small) == features_of(workbench, large)


def test_top_tokens(workbench: Workbench) -> None:
    feature = features_of(workbench, workbench.extract(top_tokens=2))[DENSE]
    assert 2 <= len(feature["top_tokens"]) <= 6
    by_fires = features_of(workbench, workbench.extract(top_tokens=50))[DENSE]["top_tokens"]
    assert by_fires[:2] == feature["top_tokens"][:2]


def test_order(workbench: Workbench) -> None:
    in_file_order = workbench.plan_of(workbench.extract(order="file"))
    ids = [row["external_id"] for row in in_file_order.documents()]
    assert [f"d{n}" for n in range(1, len(ids) + 1)] == ids  # document 0 is empty
    hashed = [row["external_id"] for row in workbench.plan_of(workbench.extract(order="hash")).documents()]
    assert sorted(ids) == sorted(hashed) != hashed


def test_seed(workbench: Workbench) -> None:
    """Another order, other splits and other examples, but the same counts."""
    first, second = workbench.extract(seed=0), workbench.extract(seed=1)
    orders = [[row["external_id"] for row in workbench.plan_of(run).documents()] for run in (first, second)]
    assert orders[0] != orders[1]
    assert features_of(workbench, first) == [
        {**feature, "intervals": features_of(workbench, first)[feature["feature_index"]]["intervals"]}
        for feature in features_of(workbench, second)
    ]


def test_null_features(workbench: Workbench) -> None:
    none, some = workbench.extract(null_features=0), workbench.extract(null_features=24)
    for run, n in ((none, 0), (some, 24)):
        assert run.header is not None
        assert 80 + n == run.header.n_features
        assert 80 == run.n_features
        assert 80 + n + 1 == len(read_block_indptr(workbench.artifacts_of(run), 0))
    assert features_of(workbench, none) == features_of(workbench, some)


def test_name(workbench: Workbench) -> None:
    assert "my run" == workbench.extract(name="my run").name
    assert workbench.extract(name="").name.startswith("sae-")
    for name in ("12", "x" * 201):
        with pytest.raises(ValueError, match="name"):
            workbench.spec(name=name)


def test_hook_point(workbench: Workbench) -> None:
    """The block's output is not its input; the self-check says so, and --force goes on and is recorded."""
    elsewhere = "blocks.2.hook_resid_post"
    run = workbench.extract(hook_point=elsewhere, force=True)
    assert elsewhere == run.hook_point
    own = workbench.extract()
    assert "blocks.0.hook_resid_pre" == own.hook_point
    assert features_of(workbench, run)[ONE_TOKEN]["n_fires"] != features_of(workbench, own)[ONE_TOKEN]["n_fires"]
    with pytest.raises(InputError, match="no layer 9"):
        workbench.extract(hook_point="blocks.9.hook_resid_post")


@pytest.mark.parametrize("packing", ["document", "packed"])
@pytest.mark.parametrize("wanted", [1, 500, 1234])
def test_tokens_stop_at_the_end_of_the_context(workbench: Workbench, wanted: int, packing: str) -> None:
    whole = workbench.plan_of(workbench.extract(packing=packing)).corpus()
    run = workbench.extract(tokens=wanted, packing=packing)
    part = load_plan(workbench.artifacts_of(run)).corpus()
    read = np.cumsum(part.context_n)  # positions, the BOS among them
    assert read[-1] >= wanted > read[-1] - part.context_n[-1]
    n = part.n_contexts
    if packing == "document":  # the same contexts that the whole run begins with
        assert np.array_equal(whole.context_slot[:n], part.context_slot)
        end = int(part.context_slot[-1] + part.context_n[-1])
        assert np.array_equal(whole.token_ids[:end], part.token_ids[:end])
    assert header_of(run)["n_contexts"] == n


def test_role_tokens_are_found_in_their_example(workbench: Workbench) -> None:
    run = workbench.extract()
    with workbench.store.read() as session:
        feature = feature_to_json(fetch_feature(session, run, ROLE))
    assert any("<|user|> where is the cat" in example["text"] for example in feature["examples"])
