"""How sure a frequency or a mean is, given that the tokens of a document are not independent of each other.

The independent unit is the document. Documents fall into 16 groups by hash, and the spread of the groups is the
spread of the estimate (delete-a-group jackknife: Kott 2001, "The Delete-a-Group Jackknife", J. Official Statistics 17).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # not scipy.stats, whose import costs every worker half a second

CONFIDENCE = 0.95
_UPPER = 0.5 + CONFIDENCE / 2
_Z = float(special.ndtri(_UPPER))

# Twice as large would do for normal deviations; by simulation, this keeps coverage where documents are very unequal.
_TAIL = 1.5

FEW_DOCUMENTS = 10
"""Below this many documents with an event the jackknife of a frequency gives way to the exact binomial."""


@dataclass(frozen=True)
class Interval:
    """Lower and upper ends of 95 % intervals, NaN where there is none. Shapes [n]."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def wilson_low(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """Wilson's lower 95 % bound (two-sided) of a share; 0 where there are no trials (Wilson 1927)."""
    n = np.maximum(trials, 1)
    p = successes / n
    spread = _Z * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    low = (p + _Z**2 / (2 * n) - spread) / (1 + _Z**2 / n)
    return np.where(trials > 0, np.maximum(low, 0.0), 0.0)


def score_low(share: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wilson's lower bound, as `wilson_low`, of a share of n trials that need not be whole; 0 for NaN.

    Numerator and denominator are multiplied by n, which leaves one division for each of many millions of pairs.
    """
    low = share * n
    spread = low * (1.0 - share)
    spread += _Z**2 / 4
    np.sqrt(spread, out=spread)
    spread *= _Z
    low += _Z**2 / 2
    low -= spread
    low /= n + _Z**2
    return np.fmax(low, 0.0, out=low)


def exact_binomial(successes: NDArray[np.int64], trials: int) -> Interval:
    """Clopper and Pearson's 95 % interval of a share; for no success its upper end is the rule of three, 3 / trials.

    NaN for no trials.
    """
    k = np.asarray(successes, dtype=np.float64)
    if trials <= 0:
        return Interval(np.full(len(k), np.nan), np.full(len(k), np.nan))
    low = special.betaincinv(np.maximum(k, 1), np.maximum(trials - k + 1, 1), 1 - _UPPER)
    high = special.betaincinv(k + 1, np.maximum(trials - k, 1), _UPPER)
    high = np.where(k == 0, rule_of_three(trials), high)
    return Interval(np.where(k == 0, 0.0, low), np.where(k >= trials, 1.0, high))


def rule_of_three(trials: int) -> float:
    """Upper 95 % bound of the rate of something never seen in so many independent trials: min(1, 3 / trials)."""
    return min(1.0, 3.0 / trials) if trials > 0 else float("nan")


def jackknife_t(deleted: NDArray[np.float64], is_group: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Half-width of the 95 % interval of an estimate, from its values with one group deleted.

    `deleted` [n, 16] are the estimates without each group, on the scale on which they are near normal; `is_group` [n,
    16] says which groups exist. With G groups and d their deviations from the mean of `deleted`, the variance is (G −
    1)/G · Σd², and Student's t has clip(1.5 · G / b − 1, 1, G − 1) degrees of freedom, where b = G·Σd⁴/(Σd²)² is the
    kurtosis of d: when one group makes the whole spread, the spread itself is hardly known (Satterthwaite's
    argument). NaN where fewer than two groups exist. Shape [n].
    """
    n_groups = is_group.sum(axis=1)
    some = np.maximum(n_groups, 2)
    kept = np.where(is_group, deleted, 0.0)
    deviation = np.where(is_group, kept - (kept.sum(axis=1) / some)[:, None], 0.0)
    square = (deviation**2).sum(axis=1)
    fourth = (deviation**4).sum(axis=1)
    kurtosis = np.where(fourth > 0, some * fourth / np.where(square > 0, square, 1.0) ** 2, 1.0)
    freedom = np.clip(_TAIL * some / kurtosis - 1, 1, some - 1)
    half_width = special.stdtrit(freedom, _UPPER) * np.sqrt((some - 1) / some * square)
    return np.where(n_groups >= 2, half_width, np.nan)


def _as_factor(half_width: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp of a half-width on the log scale; beyond e^80 the interval says nothing anyway, and stays finite."""
    return np.exp(np.minimum(half_width, 80.0))


@dataclass(frozen=True)
class FrequencyCounts:
    """What the interval of a frequency rests on: per feature [n] or [n, 16], and of the corpus [16]."""

    group_n_fires: NDArray[np.int64]
    n_documents_fired: NDArray[np.int64]
    group_n_tokens: NDArray[np.int64]
    n_documents: int


def frequency_interval(counts: FrequencyCounts) -> Interval:
    """95 % interval of activation_frequency = n_fires / n_tokens.

    Ten documents with an event or more: delete-a-group jackknife of the ratio of sums on the log scale
    (`jackknife_t`). Fewer, or when all events lie in one group: `few_documents_interval`. None: [0, 3 / n_tokens].
    """
    n_tokens = int(counts.group_n_tokens.sum())
    n_fires = counts.group_n_fires.sum(axis=1)
    few = few_documents_interval(counts)
    rest = n_fires[:, None] - counts.group_n_fires
    rest_tokens = n_tokens - counts.group_n_tokens
    is_group = np.broadcast_to(counts.group_n_tokens > 0, rest.shape)
    deleted = np.log(np.maximum(rest, 1) / np.maximum(rest_tokens, 1))
    width = _as_factor(jackknife_t(deleted, is_group))
    frequency = n_fires / max(n_tokens, 1)
    is_many = (counts.n_documents_fired >= FEW_DOCUMENTS) & (rest > 0).all(axis=1) & ~np.isnan(width)
    low = np.where(is_many, frequency / width, few.low)
    high = np.where(is_many, np.minimum(frequency * width, 1.0), few.high)
    none = n_fires == 0
    return Interval(np.where(none, 0.0, low), np.where(none, rule_of_three(n_tokens), high))


def few_documents_interval(counts: FrequencyCounts) -> Interval:
    """95 % interval of a frequency that rests on few documents: exact binomial on documents, and what they may hold.

    With k of D documents fired, [p_low, p_high] Clopper and Pearson's interval of the share p = k / D. If every
    document that fires held equally many events, the frequency f would lie in [f·p_low/p, f·p_high/p]. How many
    events such a document holds is itself known from few: with k_e = (Σn_g)² / Σn_g² (at most k), the effective
    number of groups by Kish, the interval is widened where needed to f · exp(±t / √k_e), t = Student's 97.5 %
    quantile with k_e degrees of freedom. It is then cut to what is possible: at least one event in each document that
    fires (f ≥ p_low · D / n_tokens), at most all its tokens (f ≤ p_high, for documents of average length). NaN where
    nothing fires.
    """
    n_tokens = max(int(counts.group_n_tokens.sum()), 1)
    n_fires = counts.group_n_fires.sum(axis=1)
    k = counts.n_documents_fired
    is_some = (n_fires > 0) & (k > 0)
    safe_k = np.where(is_some, k, 1)
    share = exact_binomial(safe_k, max(counts.n_documents, 1))
    frequency = np.where(is_some, n_fires, 1) / n_tokens
    squares = np.maximum((counts.group_n_fires.astype(np.float64) ** 2).sum(axis=1), 1.0)
    effective = np.clip(n_fires.astype(np.float64) ** 2 / squares, 1.0, safe_k)
    width = np.exp(special.stdtrit(effective, _UPPER) / np.sqrt(effective))
    p = safe_k / max(counts.n_documents, 1)
    low = np.minimum(frequency * share.low / p, frequency / width)
    high = np.maximum(frequency * share.high / p, frequency * width)
    low = np.maximum(low, share.low * counts.n_documents / n_tokens)
    high = np.minimum(high, np.maximum(share.high, frequency))
    return Interval(np.where(is_some, low, np.nan), np.where(is_some, high, np.nan))


def mean_interval(group_sum: NDArray[np.float64], group_n_fires: NDArray[np.int64]) -> Interval:
    """95 % interval of mean_activation = Σa / n_fires: delete-a-group jackknife over the groups with an event.

    On the log scale where all groups' sums have one sign, else on the plain scale; `jackknife_t`. NaN
    where fewer than two groups have an event. Shapes [n, 16].
    """
    total, n_fires = group_sum.sum(axis=1), group_n_fires.sum(axis=1)
    is_group = group_n_fires > 0
    mean = total / np.maximum(n_fires, 1)
    rest = np.maximum(n_fires[:, None] - group_n_fires, 1)
    deleted = (total[:, None] - group_sum) / rest
    sign = np.sign(mean)[:, None]
    has_one_sign = ((np.sign(group_sum) == sign) | ~is_group).all(axis=1) & (mean != 0)
    log_deleted = np.log(np.where(deleted * sign > 0, np.abs(deleted), 1.0))
    width = _as_factor(jackknife_t(log_deleted, is_group))
    half = jackknife_t(deleted, is_group)
    inner, outer = mean / width, mean * width
    low = np.where(has_one_sign, np.minimum(inner, outer), mean - half)
    high = np.where(has_one_sign, np.maximum(inner, outer), mean + half)
    return Interval(low, high)
