"""The slow, obvious form of every per-feature statistic: loops over one feature's events, in plain Python and NumPy."""

import math
from collections import Counter, defaultdict

import numpy as np
from tests.oracles.worlds import World

from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays


def moments(world: World, f: int) -> dict[str, object]:
    """Counts, sums and the largest value of one feature; sums with math.fsum."""
    rows, groups = world.rows(f), [[] for _ in range(16)]
    for slot, value in rows:
        document = world.document(int(world.corpus.context_of_slot[slot]))
        groups[int(world.corpus.document_group[document])].append(value)
    return {
        "n_fires": len(rows),
        "sum": math.fsum(v for _, v in rows),
        "sum_sq": math.fsum(v * v for _, v in rows),
        "max": max((v for _, v in rows), key=abs, default=math.nan),
        "n_contexts_fired": len(world.contexts(f)),
        "n_documents_fired": len({world.document(c) for c in world.contexts(f)}),
        "group_n_fires": [len(g) for g in groups],
        "group_sum": [math.fsum(g) for g in groups],
        "size": math.fsum(abs(v) for _, v in rows),
    }


def bin_of(value: float, edges: np.ndarray) -> int:
    """The bin by looking at every pair of edges."""
    every = edges.tolist()
    n = len(every) - 1
    for b in range(n) if value < 0 else range(n // 2, n):
        low, high = every[b], every[b + 1]
        is_outer = b in (0, n - 1)
        if value > 0 and low >= 0 and low <= value and (value < high or (is_outer and value <= high)):
            return b
        if value < 0 and high <= 0 and value <= high and (value > low or (is_outer and value >= low)):
            return b
    raise AssertionError(value)


def octave_of(value: float) -> int:
    """Octave of a magnitude, −17 below 2^-16 and 16 from 2^16 upwards."""
    return min(max(math.floor(math.log2(abs(value))), -17), 16)


def key(world: World, f: int, context: int, seed: int) -> int:
    """The key of a (feature, context) pair."""
    c = world.corpus
    document = world.document(context)
    return int(hash_arrays(seed, world.first + f, c.document_key[document], c.context_token_offset[context]))


def window(corpus: CorpusArrays, slot: int) -> tuple[int, ...]:
    """The tokens around a slot, −1 outside the context."""
    context = int(corpus.context_of_slot[slot])
    first = int(corpus.context_slot[context])
    end = first + int(corpus.context_n[context])
    return tuple(int(corpus.token_ids[s]) if first <= s < end else -1 for s in range(slot - 8, slot + 9))


def strongest_first(world: World, f: int, split: int, seed: int) -> list[tuple[int, int]]:
    """(context, slot of its peak) of one split, strongest first, by the published order."""
    rows = []
    for context, (slot, value) in world.peaks(f).items():
        if world.split(context) == split:
            rows.append((-abs(value), key(world, f, context, seed) >> 32, slot, context))
    return [(context, slot) for _, _, slot, context in sorted(rows)]


def best_distinct(world: World, f: int, split: int, seed: int, k: int, by: str) -> list[int]:
    """Slots of the k strongest contexts with distinct documents or windows."""
    seen, out = set(), []
    for context, slot in strongest_first(world, f, split, seed):
        same = world.document(context) if by == "document" else window(world.corpus, slot)
        if same not in seen:
            seen.add(same)
            out.append(slot)
    return out[:k]


def smallest_keys(world: World, f: int, split: int, seed: int, k: int, octave: int | None = None) -> list[int]:
    """Slots of the k firing contexts (of an octave) with the smallest keys."""
    rows = [
        (key(world, f, context, seed), slot)
        for context, (slot, value) in world.peaks(f).items()
        if world.split(context) == split and octave in (None, octave_of(value))
    ]
    return [slot for _, slot in sorted(rows)][:k]


def published_top(world: World, f: int, split: int, seed: int, k: int, n_top: int) -> list[int]:
    """The two walks over the union of the two lists."""
    wanted = {
        *best_distinct(world, f, split, seed, k, "document"),
        *best_distinct(world, f, split, seed, k, "window"),
    }
    order = [(c, s) for c, s in strongest_first(world, f, split, seed) if s in wanted]
    taken: list[tuple[int, int]] = []
    for strict in (True, False):
        for context, slot in order:
            if len(taken) == n_top or (context, slot) in taken:
                continue
            has_window = any(window(world.corpus, slot) == window(world.corpus, s) for _, s in taken)
            has_document = any(world.document(context) == world.document(c) for c, _ in taken)
            if not has_window and not (strict and has_document):
                taken.append((context, slot))
    return [slot for context, slot in order if (context, slot) in taken]


def token_rows(world: World) -> list[tuple[int, int, int, int, float, float, float]]:
    """(feature, token, n_fires, n_fires_score, sum, sum_score, max), sorted."""
    out = []
    for f in range(world.n_features):
        by_token: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for slot, value in world.rows(f):
            by_token[int(world.corpus.token_ids[slot])].append((slot, value))
        for token in sorted(by_token):
            rows = by_token[token]
            score = [v for s, v in rows if world.split(int(world.corpus.context_of_slot[s])) == 1]
            values = [v for _, v in rows]
            total, total_score = math.fsum(values), math.fsum(score)
            out.append((world.first + f, token, len(rows), len(score), total, total_score, max(values, key=abs)))
    return out


def wilson_low(k: int, n: int) -> float:
    """Wilson's lower bound as the smaller root of (p̂ − p)² = z² p (1 − p) / n."""
    if n == 0:
        return 0.0
    z2, share = 1.959963984540054**2, k / n
    roots = np.roots([1 + z2 / n, -(2 * share + z2 / n), share * share])
    return float(max(min(roots.real), 0.0))


def occurrences(world: World) -> list[Counter]:
    """Tokens at counted positions by split."""
    out = [Counter(), Counter()]
    for slot in world.counted():
        out[world.split(int(world.corpus.context_of_slot[slot]))][int(world.corpus.token_ids[slot])] += 1
    return out


def auc(positive: list[float], negative: list[float]) -> float:
    """Share of (positive, negative) pairs in the right order, ties half."""
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))
