"""The inner loops that NumPy can only do in many passes: which activations of a tile fire, and events put in order.

Compiled at their first call and kept on disk; each has a slow twin in tests/oracles. They hold no lock of Python, so
that threads work on tiles of their own.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

_RUN = 16  # activations looked at together: hardly one in a hundred fires, so most runs are passed over at once


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, kept on disk where there is a folder for it that can be written."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy")(function)


@_compiled
def find_firing(products, rules, row, value, n_fires):
    """Which activations of a feature-major tile fire, feature by feature.

    An activation is product · scale + bias. It fires where it is above its feature's floor and the product is above its
    gate.

    Args:
        products: of encoder directions and inputs, float32 [n_features, n_rows].
        rules: scale, bias, floor and gate of each feature, float32 [4, n_features].
        row: filled with the column of each firing; int32, as long as `value`.
        value: filled with the activation of each; float32.
        n_fires: filled with the number of each feature, int64 [n_features].

    Returns:
        The number of firings; more than fit into `row` and `value` are counted and not written.
    """
    n_features, n = products.shape
    room, found, whole = len(row), 0, n - n % _RUN
    for feature in range(n_features):
        scale, bias, floor, gate = rules[0, feature], rules[1, feature], rules[2, feature], rules[3, feature]
        before, line = found, products[feature]
        for first in range(0, n, _RUN):
            if first < whole:
                some = False
                for at in range(first, first + _RUN):
                    some |= line[at] * scale + bias > floor
                if not some:
                    continue
            for at in range(first, min(first + _RUN, n)):
                activation = line[at] * scale + bias
                if activation > floor and line[at] > gate:
                    if found < room:
                        row[found] = at
                        value[found] = activation
                    found += 1
        n_fires[feature] = found - before
    return found


@_compiled
def _keep_largest(index, candidate, n_held, k):
    """Move the k largest candidates to the front, in their order, the earlier one on ties; k and the k-th largest."""
    last = np.sort(candidate[:n_held])[n_held - k]
    n_above = 0
    for place in range(n_held):
        n_above += candidate[place] > last
    n_equal, kept = k - n_above, 0
    for place in range(n_held):
        is_equal = candidate[place] == last
        if candidate[place] > last or (is_equal and n_equal > 0):
            n_equal -= is_equal
            index[kept], candidate[kept] = index[place], candidate[place]
            kept += 1
    return kept, last


@_compiled
def _collect(line, rules, k, bound, index, candidate):
    """The k largest activations of a token above `bound`, into `index` and `candidate`; how many there are.

    The bound rises whenever there is no room for more.
    """
    n, n_held = len(line), 0
    for first in range(0, n, _RUN):
        end = min(first + _RUN, n)
        some = False
        for at in range(first, end):
            some |= (line[at] + rules[1, at]) * rules[0, at] > bound
        if not some:
            continue
        for at in range(first, end):
            activation = (line[at] + rules[1, at]) * rules[0, at]
            if activation > bound:
                index[n_held], candidate[n_held] = at, activation
                n_held += 1
                if n_held == len(index):
                    n_held, bound = _keep_largest(index, candidate, n_held, k)
    return _keep_largest(index, candidate, n_held, k)[0] if n_held > k else n_held


@_compiled
def choose_largest(products, rules, k, floor, feature, value, n_fires):
    """The k largest activations of each token of a token-major tile, as far as they are above `floor`.

    An activation is (product + bias) · scale; of equal ones the lower feature is chosen.

    Args:
        products: of inputs and encoder directions, float32 [n_rows, n_features].
        rules: scale and bias of each feature, float32 [2, n_features].
        k: how many fire at most.
        floor: float32, 0 or more.
        feature: filled with the chosen features, ascending, int32 [n_rows, k].
        value: filled with their activations, float32 [n_rows, k].
        n_fires: filled with the number of each token, int64 [n_rows].
    """
    index, candidate = np.empty(8 * k + 64, np.int32), np.empty(8 * k + 64, np.float32)
    guess = floor
    for token in range(len(products)):
        n = _collect(products[token], rules, k, guess, index, candidate)
        if n < k and guess > floor:
            n = _collect(products[token], rules, k, floor, index, candidate)
        smallest = np.float32(np.inf)
        for place in range(n):
            feature[token, place] = index[place]
            value[token, place] = candidate[place]
            smallest = min(smallest, candidate[place])
        n_fires[token] = n
        # What the next token's have to beat at first: a little less than the last of these.
        guess = max(np.float32(0.9) * smallest, floor) if n == k else floor


@_compiled
def turn_over(line_start, is_wanted, column, value, next_place, line_out, value_out):
    """Write the entries of a sparse matrix by column: each goes to the next free place of its column.

    Args:
        line_start: int64 [n_lines + 1]; line i has the entries line_start[i] … line_start[i + 1] − 1.
        is_wanted: bool [n_lines]; other lines are left out.
        column: integers [n]; `value`: float32 [n].
        next_place: int64 [n_columns], where the next entry of each column goes; moved on.
        line_out: filled with the lines of the entries, `value_out` with the values. Within a column, lines ascend.
    """
    for line in range(len(line_start) - 1):
        if is_wanted[line]:
            for entry in range(line_start[line], line_start[line + 1]):
                place = next_place[column[entry]]
                next_place[column[entry]] = place + 1
                line_out[place] = line
                value_out[place] = value[entry]
