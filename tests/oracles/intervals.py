"""Intervals one feature at a time, straight from their definitions, with numbers and loops."""

import math

from scipy import stats


def clopper_pearson(k: int, n: int) -> tuple[float, float]:
    """By scipy's own exact test."""
    found = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    return found.low, found.high


def jackknife_half_width(deleted: list[float]) -> float:
    """t · sqrt((G − 1)/G · Σd²) with degrees of freedom from the kurtosis of d."""
    n = len(deleted)
    if n < 2:
        return math.nan
    mean = math.fsum(deleted) / n
    d = [x - mean for x in deleted]
    square, fourth = sum(x**2 for x in d), sum(x**4 for x in d)
    kurtosis = n * fourth / square**2 if fourth > 0 else 1.0
    freedom = min(max(1.5 * n / kurtosis - 1, 1), n - 1)
    return float(stats.t.ppf(0.975, freedom)) * math.sqrt((n - 1) / n * square)


def few_documents(group_n_fires: list[int], k: int, n_documents: int, n_tokens: int) -> tuple[float, float]:
    """Exact binomial on documents, widened by what is not known of the events in each."""
    n_fires = sum(group_n_fires)
    frequency, p = n_fires / n_tokens, k / n_documents
    p_low, p_high = clopper_pearson(k, n_documents)
    effective = min(n_fires**2 / sum(x * x for x in group_n_fires), k)
    width = math.exp(float(stats.t.ppf(0.975, effective)) / math.sqrt(effective))
    low = max(min(frequency * p_low / p, frequency / width), p_low * n_documents / n_tokens)
    high = min(max(frequency * p_high / p, frequency * width), max(p_high, frequency))
    return low, high


def frequency(group_n_fires: list[int], k: int, group_n_tokens: list[int], n_documents: int) -> tuple[float, float]:
    """The published interval of activation_frequency."""
    n_fires, n_tokens = sum(group_n_fires), sum(group_n_tokens)
    if n_fires == 0:
        return 0.0, min(1.0, 3 / n_tokens)
    groups = [g for g in range(16) if group_n_tokens[g] > 0]
    if k < 10 or len(groups) < 2 or any(group_n_fires[g] == n_fires for g in groups):
        return few_documents(group_n_fires, k, n_documents, n_tokens)
    deleted = [math.log((n_fires - group_n_fires[g]) / (n_tokens - group_n_tokens[g])) for g in groups]
    width = math.exp(jackknife_half_width(deleted))
    return n_fires / n_tokens / width, min(n_fires / n_tokens * width, 1.0)


def mean(group_sum: list[float], group_n_fires: list[int]) -> tuple[float, float]:
    """The published interval of mean_activation."""
    groups = [g for g in range(16) if group_n_fires[g] > 0]
    if len(groups) < 2:
        return math.nan, math.nan
    total, n_fires = sum(group_sum), sum(group_n_fires)
    deleted = [(total - group_sum[g]) / (n_fires - group_n_fires[g]) for g in groups]
    if all(group_sum[g] > 0 for g in groups) or all(group_sum[g] < 0 for g in groups):
        width = math.exp(jackknife_half_width([math.log(abs(x)) for x in deleted]))
        ends = (total / n_fires / width, total / n_fires * width)
        return min(ends), max(ends)
    half = jackknife_half_width(deleted)
    return total / n_fires - half, total / n_fires + half
