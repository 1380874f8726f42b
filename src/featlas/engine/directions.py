"""An SAE's directions compared with each other: the nearest of each, and their two principal axes."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featlas.engine.rankings import find_largest, rows_per_tile
from featlas.engine.sae import tiles
from featlas.errors import InputError

UMAP_NEIGHBOURS = 15
_SAME = 1e-12  # total variance of unit vectors below which they are one direction, but for rounding


@dataclass(frozen=True)
class UnitDirections:
    """Directions of length one.

    vectors: shape [n, d], float32; zeros where the direction is zero.
    is_zero: shape [n], on the CPU; such a feature has no direction, so nothing is said of one.
    """

    vectors: Tensor
    is_zero: NDArray[np.bool_]

    @classmethod
    def of(cls, vectors: Tensor) -> "UnitDirections":
        """Divide each vector by its length. vectors: [n, d]."""
        vectors = vectors.to(torch.float32)
        largest = vectors.abs().amax(dim=1, keepdim=True)
        is_zero = largest[:, 0] == 0
        unit = vectors / torch.where(largest == 0, 1, largest)  # or squares of very small numbers would be zero
        unit /= torch.linalg.vector_norm(unit, dim=1, keepdim=True).clamp_(min=1)
        return cls(unit, is_zero.cpu().numpy())

    def __len__(self) -> int:
        return len(self.is_zero)


@dataclass(frozen=True)
class Neighbours:
    """The nearest of some features, first … first + n − 1: feature_index and cosine, each [n, k]."""

    first: int
    feature_index: NDArray[np.int64]
    cosine: NDArray[np.float32]


def find_neighbours(directions: UnitDirections, n_neighbours: int) -> Iterator[Neighbours]:
    """The features whose directions have the largest cosine with each feature's, itself left out; exact.

    Tile by tile over the features; a tile is compared with all others at once. Ties go by feature_index. Features
    without a direction are nobody's neighbours, and what is given for them means nothing. k is `n_neighbours`, or less
    where there are not as many others.
    """
    vectors, n = directions.vectors, len(directions)
    is_zero = torch.from_numpy(directions.is_zero).to(vectors.device)
    k = max(0, min(n_neighbours, int((~directions.is_zero).sum()) - 1))
    for first, last in tiles(n, rows_per_tile(n)):
        cosine = (vectors[first:last] @ vectors.T).clamp_(-1, 1)
        cosine[:, is_zero] = -torch.inf
        cosine.diagonal(offset=first).fill_(-torch.inf)
        found, at = find_largest(cosine, k)
        yield Neighbours(first, at.cpu().numpy(), found.cpu().numpy())


@dataclass(frozen=True)
class DirectionMap:
    """A place in the plane for each feature.

    places: shape [n, 2], float32; NaN for features without a direction.
    explained_variance: the shares of the variance along x and along y; None where axes have no such meaning.
    """

    places: NDArray[np.float32]
    explained_variance: tuple[float, float] | None


def map_by_pca(directions: UnitDirections) -> DirectionMap | None:
    """The directions' first two principal components; None where there are not two different directions.

    In float64. Of each axis the entry of largest magnitude is positive (of several the first), so that the map comes
    out the same way round every time.
    """
    vectors, n = directions.vectors, int((~directions.is_zero).sum())
    width = vectors.shape[1]
    total, products = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)
    for first, last in tiles(len(vectors), rows_per_tile(width)):
        tile = vectors[first:last].cpu().double()  # zero rows add nothing
        total += tile.sum(0)
        products += tile.T @ tile
    if n < 2 or width < 2:
        return None
    mean = total / n
    variances, axes = torch.linalg.eigh(products / n - mean[:, None] * mean)  # ascending
    whole = float(variances.clamp(min=0).sum())
    if whole < _SAME:
        return None
    axes = axes[:, [-1, -2]]
    largest = axes.abs().argmax(0)
    axes = axes * axes.gather(0, largest[None]).sign()
    places = np.full((len(vectors), 2), np.nan, dtype=np.float32)
    for first, last in tiles(len(vectors), rows_per_tile(width)):
        places[first:last] = ((vectors[first:last].cpu().double() - mean) @ axes).numpy()
    places[directions.is_zero] = np.nan
    shares = (variances[[-1, -2]].clamp(min=0) / whole).tolist()
    return DirectionMap(places, (shares[0], shares[1]))


def require_umap() -> Any:
    """The module that draws UMAP maps; InputError where it is not installed."""
    try:
        return importlib.import_module("umap")
    except ImportError as cause:
        raise InputError(
            "a UMAP map needs the package umap-learn, which is not installed: pip install 'featlas[umap]', or leave"
            " the map to --map pca"
        ) from cause


def map_by_umap(directions: UnitDirections, seed: int = 0) -> DirectionMap | None:
    """The directions laid out by UMAP on their cosines, always from the same seed; None for fewer than three."""
    has_direction = ~directions.is_zero
    n = int(has_direction.sum())
    if n < 3:
        return None
    layout = require_umap().UMAP(
        n_components=2, metric="cosine", n_neighbors=min(UMAP_NEIGHBOURS, n - 1), random_state=seed, n_jobs=1
    )
    places = np.full((len(directions), 2), np.nan, dtype=np.float32)
    places[has_direction] = layout.fit_transform(directions.vectors.cpu().numpy()[has_direction])
    return DirectionMap(places, None)
