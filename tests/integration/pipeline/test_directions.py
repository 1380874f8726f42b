"""The job on a planted SAE, whose decoder is known: sixteen zero directions, then each axis there and back."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.conftest import DATABASES
from tests.integration.pipeline.conftest import planted_spec
from tests.integration.pipeline.workbench import PhaseStop, Workbench
from transformers import LlamaForCausalLM

from featlas.domain import DirectionKind, JobState, MapMethod
from featlas.errors import ConflictError, InputError, JobPaused, NotFoundError
from featlas.exchange.saelens_files import save_saelens
from featlas.pipeline.directions import run_directions
from featlas.specs import DirectionsSpec
from featlas.store import jobs
from featlas.store.directions import (
    ZERO,
    Directions,
    FeatureLogits,
    FeatureNeighbours,
    fetch_directions,
    fetch_logits,
    fetch_map,
    fetch_neighbours,
    find_directions,
)
from featlas.store.lease_owner import Owner
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.tables import FeatureLogitsRow, FeatureNeighboursRow, SaeDirectionsRow, SaeMapRow
from featlas.testing.planted_sae import DENSE, N_PLANTED, Planted
from featlas.testing.tiny_models import D_MODEL

TABLES = (SaeDirectionsRow, FeatureLogitsRow, FeatureNeighboursRow, SaeMapRow)
N_FEATURES = N_PLANTED + 2 * D_MODEL


@pytest.fixture(scope="module", params=DATABASES)
def bench(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    new_store_url: Callable[[str], str],
    planted: Planted,
    text: Path,
) -> Iterator[Workbench]:
    store = Store.open(new_store_url(request.param))
    yield Workbench(tmp_path_factory.mktemp("directions"), store, planted_spec(planted, text))
    store.close()


@pytest.fixture(scope="module")
def run(bench: Workbench) -> Run:
    return bench.extract()


def compute(bench: Workbench, run: Run, stop: PhaseStop | None = None, **request: Any) -> dict[str, Any]:
    spec = DirectionsSpec(run=str(run.id), **request)
    job = jobs.enqueue(bench.store, "directions", spec)
    return run_directions(spec, bench.context(job.id, stop, stop))


def in_force(bench: Workbench, run: Run) -> Directions:
    with bench.store.read() as session:
        return fetch_directions(session, run)


def logits_of(bench: Workbench, run: Run, feature: int) -> FeatureLogits:
    with bench.store.read() as session:
        return fetch_logits(session, run, fetch_directions(session, run), feature)


def neighbours_of(bench: Workbench, run: Run, kind: DirectionKind, feature: int) -> FeatureNeighbours:
    with bench.store.read() as session:
        return fetch_neighbours(session, run, fetch_directions(session, run), kind, feature)


def count(bench: Workbench) -> dict[str, int]:
    with bench.store.read() as session:
        return {table.__tablename__: session.query(table).count() for table in TABLES}


def test_tokens_are_those_of_the_models_own_unembedding(bench: Workbench, run: Run, planted: Planted) -> None:
    compute(bench, run, n_tokens=4)
    model: Any = LlamaForCausalLM.from_pretrained(planted.model)
    effects = (model.lm_head.weight * model.model.norm.weight).detach()[:, 3]  # of the third axis alone
    order = effects.argsort(descending=True).tolist()
    there, back = (logits_of(bench, run, N_PLANTED + axis) for axis in (3, D_MODEL + 3))
    assert order[:4] == [token.token_id for token in there.promoted]
    assert order[:-5:-1] == [token.token_id for token in there.suppressed]
    assert [token.effect for token in there.promoted] == pytest.approx(effects[order[:4]].tolist(), abs=1e-4)
    assert [token.effect for token in there.suppressed] == pytest.approx(effects[order[:-5:-1]].tolist(), abs=1e-4)
    assert [token.token_id for token in there.promoted] == [token.token_id for token in back.suppressed]
    assert all(isinstance(token.token, str) for token in there.promoted)


def test_neighbours_and_what_points_the_same_way(bench: Workbench, run: Run, planted: Planted) -> None:
    result = compute(bench, run, n_neighbours=3)
    by_decoder = neighbours_of(bench, run, DirectionKind.DECODER, N_PLANTED)
    # All other axes are at right angles; the way back is the last of all.
    assert [N_PLANTED + 1, N_PLANTED + 2, N_PLANTED + 3] == [near.feature_index for near in by_decoder.items]
    assert [0.0, 0.0, 0.0] == [near.cosine for near in by_decoder.items]
    twin = neighbours_of(bench, run, DirectionKind.ENCODER, 10).items[0]
    assert (11, True) == (twin.feature_index, twin.is_near_duplicate)
    assert {"decoder": 0, "encoder": 2} == result["n_near_duplicates"]
    assert 3 == len(by_decoder.items)


def test_a_feature_without_a_direction_has_nothing_but_the_reason(bench: Workbench, run: Run) -> None:
    result = compute(bench, run)
    assert FeatureLogits(ZERO) == logits_of(bench, run, DENSE)
    for kind in DirectionKind:
        assert FeatureNeighbours(kind, ZERO) == neighbours_of(bench, run, kind, DENSE)
    with bench.store.read() as session:
        found = fetch_map(session, fetch_directions(session, run), MapMethod.PCA)
    assert np.isnan(found.x[:N_PLANTED]).all()
    assert np.isfinite(found.x[N_PLANTED:]).all()
    assert (N_FEATURES,) == found.y.shape
    assert N_PLANTED == result["n_without_direction"]
    assert found.explained_variance == pytest.approx((1 / D_MODEL, 1 / D_MODEL), abs=1e-6)  # all axes alike


def test_the_newest_replaces_what_was_there(bench: Workbench, run: Run) -> None:
    compute(bench, run)
    first = in_force(bench, run)
    compute(bench, run, n_tokens=2, n_neighbours=1)
    second = in_force(bench, run)
    assert first.id < second.id
    assert {"n_tokens": 2, "n_neighbours": 1, "map": "pca"} == second.options
    assert 2 == len(logits_of(bench, run, N_PLANTED).promoted)
    assert {
        "sae_directions": 1,
        "feature_logits": N_FEATURES,
        "feature_neighbours": 2 * N_FEATURES,
        "sae_maps": 1,
    } == count(bench)


@pytest.mark.parametrize(
    "phase", ["reading tokens off the directions", "finding neighbours by decoder", "finding neighbours by encoder"]
)
def test_a_stopped_job_leaves_what_was_in_force_and_the_next_one_clears_up(
    bench: Workbench, run: Run, phase: str
) -> None:
    compute(bench, run, n_tokens=3)
    before = in_force(bench, run)
    with pytest.raises(JobPaused):
        compute(bench, run, PhaseStop(phase))
    assert before == in_force(bench, run)
    assert 2 == count(bench)["sae_directions"]
    compute(bench, run)
    assert 1 == count(bench)["sae_directions"]
    assert N_FEATURES == count(bench)["feature_logits"]


def test_what_another_running_job_writes_is_left_alone(bench: Workbench, run: Run) -> None:
    spec = DirectionsSpec(run=str(run.id))
    other = jobs.enqueue(bench.store, "directions", spec)
    jobs.claim(bench.store, Owner.of_this_process(), 60, job_id=other.id)
    stop = PhaseStop("finding neighbours by encoder")
    with pytest.raises(JobPaused):
        run_directions(spec, bench.context(other.id, stop, stop))
    compute(bench, run)
    with bench.store.read() as session:
        rows = session.query(SaeDirectionsRow).filter(SaeDirectionsRow.job_id == other.id).all()
    assert [None] == [row.published_at for row in rows]
    run_directions(spec, bench.context(other.id))  # its next attempt clears up after the last
    assert other.id == in_force(bench, run).job_id
    assert 1 == count(bench)["sae_directions"]
    with bench.store.read() as session:
        assert JobState.RUNNING is session.get_one(jobs.JobRow, other.id).state


def test_a_worker_that_lost_its_job_writes_nothing(bench: Workbench, run: Run) -> None:
    compute(bench, run)
    before = in_force(bench, run)
    n_calls = 0

    def guard(_session: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 2:
            raise ConflictError("it was given to somebody else")

    spec = DirectionsSpec(run=str(run.id))
    context = bench.context(jobs.enqueue(bench.store, "directions", spec).id)
    with pytest.raises(ConflictError, match="somebody else"):
        run_directions(spec, type(context)(**{**vars(context), "guard": guard}))
    assert before == in_force(bench, run)


def test_umap_is_drawn_beside_the_principal_components(
    bench: Workbench, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Layout:
        def __init__(self, **options: Any) -> None:
            self.seed = options["random_state"]

        def fit_transform(self, vectors: Any) -> Any:
            return vectors[:, :2] + self.seed

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Layout))
    compute(bench, run, map="umap")
    with bench.store.read() as session:
        found = fetch_map(session, fetch_directions(session, run), MapMethod.UMAP)
        assert fetch_map(session, fetch_directions(session, run), MapMethod.PCA).explained_variance is not None
    assert found.explained_variance is None
    assert [1.0, 0.0] == [found.x[N_PLANTED], found.y[N_PLANTED]]
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match="umap-learn"):
        compute(bench, run, map="umap")
    compute(bench, run)
    with bench.store.read() as session, pytest.raises(NotFoundError, match=r"no umap map.*--map umap"):
        fetch_map(session, fetch_directions(session, run), MapMethod.UMAP)


def test_where_the_stream_is_not_written_only_tokens_are_missing(
    bench: Workbench, run: Run, planted: Planted, tmp_path: Path
) -> None:
    inside = bench.extract(hook_point="blocks.1.mlp.hook_in", force=True)
    result = compute(bench, inside)
    assert "blocks.1.hook_mlp_in is not a place in the residual stream" in result["reasons"]["logits"]
    assert result["reasons"]["logits"] == logits_of(bench, inside, N_PLANTED).reason
    assert neighbours_of(bench, inside, DirectionKind.DECODER, N_PLANTED).items
    compute(bench, run)  # of the same SAE: the other answer is back


def test_an_sae_without_directions_has_no_map(bench: Workbench, planted: Planted, tmp_path: Path) -> None:
    width = D_MODEL
    tensors = {
        "W_enc": np.ones((width, 4)),
        "b_enc": np.zeros(4),
        "W_dec": np.ones((4, width)),
        "b_dec": np.zeros(width),
    }
    shape = {"d_in": width, "d_sae": 4, "metadata": {"hook_name": "blocks.0.hook_resid_pre"}}
    arrays = {name: array.astype(np.float32) for name, array in tensors.items()}
    save_saelens(tmp_path / "sae", arrays, {"architecture": "standard", **shape})
    run = bench.extract(sae=str(tmp_path / "sae"), force=True)
    result = compute(bench, run)
    assert "do not have two different directions" in result["reasons"]["map"]
    assert {"decoder": 4, "encoder": 4} == result["n_near_duplicates"]
    with bench.store.read() as session, pytest.raises(NotFoundError, match="two different directions"):
        fetch_map(session, fetch_directions(session, run), MapMethod.PCA)
    arrays["W_dec"][0] = 2
    save_saelens(tmp_path / "sae", arrays, {"architecture": "standard", **shape})
    with pytest.raises(ConflictError, match=r"not the one that run .* read"):
        compute(bench, run)


def test_what_is_not_there_is_said(bench: Workbench, run: Run) -> None:
    with pytest.raises(NotFoundError, match="no run has"):
        run_directions(DirectionsSpec(run="nobody"), bench.context(1))
    compute(bench, run)
    with pytest.raises(NotFoundError, match=rf"no feature {N_FEATURES}; its features are 0 … {N_FEATURES - 1}"):
        logits_of(bench, run, N_FEATURES)
    other = bench.extract(lm_dtype="bfloat16", force=True)  # another model, as far as fingerprints go
    with bench.store.read() as session:
        assert find_directions(session, other) is None
        with pytest.raises(NotFoundError, match=rf"not computed yet; `featlas directions {other.id}` does it"):
            fetch_directions(session, other)
