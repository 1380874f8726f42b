"""Neighbours and maps of directions, against the plainest way to compute them."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featlas.engine import directions as module
from featlas.engine import rankings
from featlas.engine.directions import UnitDirections, find_neighbours, map_by_pca, map_by_umap
from featlas.errors import InputError

N, WIDTH = 60, 8


def made(seed: int = 0) -> torch.Tensor:
    """Random directions of very different lengths; 5 and 11 are zero, 20 and 30 point the same way."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(N, WIDTH, generator=generator) * torch.logspace(-30, 30, N)[:, None]
    vectors[[5, 11]] = 0
    vectors[30] = 4 * vectors[20]
    return vectors


def cosines_of(vectors: torch.Tensor) -> NDArray[np.float64]:
    plain = vectors.double().numpy()
    norms = np.linalg.norm(plain, axis=1)
    with np.errstate(invalid="ignore"):
        return plain @ plain.T / norms / norms[:, None]


@pytest.mark.parametrize("n_neighbours", [1, 7, 1000])
@pytest.mark.parametrize("rows", [1, 17, N])
def test_neighbours_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch, n_neighbours: int, rows: int) -> None:
    monkeypatch.setattr(rankings, "TILE_BYTES", 4 * N * rows)
    vectors = made()
    found = list(find_neighbours(UnitDirections.of(vectors), n_neighbours))
    assert [first.first for first in found] == list(range(0, N, rows))
    indices = np.concatenate([part.feature_index for part in found])
    cosines = np.concatenate([part.cosine for part in found])
    expected = cosines_of(vectors)
    for feature in sorted({*range(N)} - {5, 11}):
        others = [other for other in range(N) if other not in (feature, 5, 11)]
        k = min(n_neighbours, len(others))
        best = sorted(others, key=lambda other: (-round(expected[feature, other], 6), other))[:k]
        assert best == indices[feature].tolist()
        np.testing.assert_allclose(cosines[feature], expected[feature, best], atol=1e-6)


def test_the_same_directions_are_listed_by_index() -> None:
    (found,) = find_neighbours(UnitDirections.of(torch.ones(5, 3)), 3)
    assert [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]] == found.feature_index.tolist()


def test_a_lonely_direction_has_no_neighbours() -> None:
    (found,) = find_neighbours(UnitDirections.of(torch.tensor([[0.0, 0.0], [1.0, 2.0]])), 3)
    assert (2, 0) == found.feature_index.shape == found.cosine.shape


def test_the_map_is_that_of_a_singular_value_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rankings, "TILE_BYTES", 4 * WIDTH * 7)
    vectors = made()
    unit = vectors.double().numpy()
    has_direction = ~np.isin(np.arange(N), [5, 11])
    unit = unit[has_direction] / np.linalg.norm(unit[has_direction], axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    signs = [np.sign(axis[np.abs(axis).argmax()]) for axis in axes[:2]]
    found = map_by_pca(UnitDirections.of(vectors))
    assert found is not None
    np.testing.assert_allclose(found.places[has_direction], centred @ axes[:2].T * signs, atol=1e-5)
    assert np.isnan(found.places[[5, 11]]).all()
    assert found.explained_variance == pytest.approx((singular**2 / (singular**2).sum())[:2], abs=1e-6)


def test_axes_do_not_turn_round() -> None:
    """The same directions in another order give the same places, feature by feature."""
    vectors = made(3)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    one, other = map_by_pca(UnitDirections.of(vectors)), map_by_pca(UnitDirections.of(vectors[order]))
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.places[order.numpy()], other.places, atol=1e-5)


@pytest.mark.parametrize("vectors", [torch.zeros(4, 3), torch.ones(4, 3), torch.eye(3)[:1], torch.ones(3, 1)])
def test_without_two_different_directions_there_is_no_map(vectors: torch.Tensor) -> None:
    assert map_by_pca(UnitDirections.of(vectors)) is None


def test_without_umap_the_answer_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"pip install 'featlas\[umap\]'"):
        map_by_umap(UnitDirections.of(made()))


def test_umap_gets_the_directions_and_a_fixed_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Layout:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def fit_transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Layout))
    directions = UnitDirections.of(made())
    found = map_by_umap(directions, seed=4)
    assert found is not None
    assert found.explained_variance is None
    assert {"n_components": 2, "metric": "cosine", "n_neighbors": 15, "random_state": 4, "n_jobs": 1} == asked
    has_direction = ~directions.is_zero
    np.testing.assert_array_equal(found.places[has_direction], directions.vectors[has_direction, :2])
    assert np.isnan(found.places[[5, 11]]).all()
    assert map_by_umap(UnitDirections.of(torch.eye(2))) is None
    assert module.UMAP_NEIGHBOURS == asked["n_neighbors"]
