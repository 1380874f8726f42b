"""Decides when the next call may start: so many requests and tokens a minute, and within a budget."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from featlas.explain.prices import Price

EXPECTED_TOKENS_OUT = 90
"""Tokens of an answer before any has come."""


@dataclass(frozen=True)
class Expected:
    """What a call will probably use, in tokens."""

    n_tokens_in: int
    n_tokens_out: int

    @property
    def n_tokens(self) -> int:
        """Both."""
        return self.n_tokens_in + self.n_tokens_out


class Pacer:
    """Spaces the starts of calls evenly; a minute's share is never spent in a burst at its beginning.

    `requests_per_minute` and `tokens_per_minute` None are no limit.
    """

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._token_s = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._next = clock()
        self._held_until = self._next

    def reserve(self, n_tokens: int) -> float:
        """Take the next turn for a call of about n_tokens; the seconds to wait for it.

        Who waited takes another turn where `is_held` says so: the provider asked for a break in the meantime.
        """
        now = self._clock()
        gap = max(self._request_s, self._token_s * n_tokens)
        # A call that starts late does not push back all that follow: up to one gap is caught up.
        start = max(self._next, now - gap, self._held_until)
        self._next = start + gap
        return max(0.0, start - now)

    def hold(self, seconds: float) -> None:
        """Let nobody start for so long: the provider asked for it."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def is_held(self) -> bool:
        """Whether nobody may start yet."""
        return self._held_until - self._clock() > _CLOCK_S


_CLOCK_S = 0.001  # sleeping ends a little early at times


class Ledger:
    """Counts what was spent and what the calls in flight will probably spend, and says whether another one fits.

    Money is in millionths of a US dollar, None where no price is known. Where a provider does not count tokens, the
    expected ones are counted.
    """

    def __init__(self, price: Price | None, budget_micro_usd: int | None, budget_tokens: int | None) -> None:
        self._price = price
        self._budget_micro_usd = budget_micro_usd
        self._budget_tokens = budget_tokens
        self._reserved: list[Expected] = []
        self._out_seen, self._n_seen = 0, 0
        self.n_requests = 0
        self.n_tokens_in = 0
        self.n_tokens_out = 0
        self.n_uncounted = 0

    def resume(self, n_requests: int, n_tokens_in: int, n_tokens_out: int) -> None:
        """Begin with what earlier attempts of the job spent: a budget is the job's."""
        self.n_requests, self.n_tokens_in, self.n_tokens_out = n_requests, n_tokens_in, n_tokens_out

    @property
    def micro_usd(self) -> int | None:
        """The money spent."""
        return self._price and self._price.micro_usd(self.n_tokens_in, self.n_tokens_out)

    def expect(self, n_tokens_in: int) -> Expected:
        """What a call with so many tokens will use, by the answers so far."""
        mean_out = self._out_seen / self._n_seen if self._n_seen else EXPECTED_TOKENS_OUT
        return Expected(n_tokens_in, round(mean_out))

    def begin(self, expected: Expected) -> bool:
        """Reserve a call; False where it would pass a budget."""
        n_in = self.n_tokens_in + expected.n_tokens_in + sum(one.n_tokens_in for one in self._reserved)
        n_out = self.n_tokens_out + expected.n_tokens_out + sum(one.n_tokens_out for one in self._reserved)
        if self._budget_tokens is not None and n_in + n_out > self._budget_tokens:
            return False
        cost = self._price and self._price.micro_usd(n_in, n_out)
        if self._budget_micro_usd is not None and cost is not None and cost > self._budget_micro_usd:
            return False
        self._reserved.append(expected)
        self.n_requests += 1
        return True

    def end(self, expected: Expected, n_tokens_in: int | None, n_tokens_out: int | None) -> None:
        """A reserved call was answered."""
        self._reserved.remove(expected)
        self.n_uncounted += n_tokens_in is None or n_tokens_out is None
        self.n_tokens_in += expected.n_tokens_in if n_tokens_in is None else n_tokens_in
        self.n_tokens_out += expected.n_tokens_out if n_tokens_out is None else n_tokens_out
        if n_tokens_out is not None:
            self._out_seen, self._n_seen = self._out_seen + n_tokens_out, self._n_seen + 1

    def release(self, expected: Expected) -> None:
        """A reserved call brought no answer, and as far as is known nothing is to be paid."""
        self._reserved.remove(expected)
