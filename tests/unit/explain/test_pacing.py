"""When calls may start, and when the money is gone: laws on a clock that the test moves."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.explain.pacing import EXPECTED_TOKENS_OUT, Expected, Ledger, Pacer
from featlas.explain.prices import Price


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """Callers one after another, each of whom waits for its turn; `starts` has the time and tokens of each call."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    clock: Clock = field(default_factory=Clock)
    starts: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pacer = Pacer(self.requests_per_minute, self.tokens_per_minute, self.clock)

    def call(self, n_tokens: int = 100, *, after_s: float = 0.0) -> float:
        """Come `after_s` seconds later, and start when it is allowed; the seconds that were waited."""
        self.clock.now += after_s
        wait_s = self.pacer.reserve(n_tokens)
        self.starts.append((self.clock.now + wait_s, n_tokens))
        return wait_s


def in_windows(starts: list[tuple[float, int]]) -> list[list[int]]:
    """The tokens of the calls in each window of a minute, the windows beginning with a call."""
    ordered = sorted(starts)
    return [[n for at, n in ordered if first <= at < first + 60 - 1e-6] for first, _ in ordered]


def test_without_limits_nobody_waits():
    bench = Bench()
    assert [bench.call(10**9) for _ in range(100)] == [0.0] * 100


def test_calls_are_spaced_evenly():
    bench = Bench(requests_per_minute=60)
    assert [bench.call() for _ in range(5)] == pytest.approx([0, 1, 2, 3, 4])


def test_tokens_space_the_next_call():
    bench = Bench(tokens_per_minute=6000)
    assert [bench.call(n) for n in (100, 300, 50, 1)] == pytest.approx([0, 1, 4, 4.5])


def test_the_narrower_limit_decides():
    bench = Bench(requests_per_minute=60, tokens_per_minute=6000)
    assert [bench.call(n) for n in (50, 200, 50)] == pytest.approx([0, 1, 3])


def test_a_late_call_is_caught_up_by_one_gap_and_no_more():
    bench = Bench(requests_per_minute=60)
    bench.call()
    assert bench.call(after_s=100) == 0
    assert [bench.call() for _ in range(3)] == pytest.approx([0, 1, 2])


def test_a_short_delay_does_not_push_back_what_follows():
    bench = Bench(requests_per_minute=60)
    bench.call()
    assert bench.call(after_s=1.25) == 0
    assert bench.call() == pytest.approx(0.75)


@given(
    st.sampled_from([1.0, 7.0, 60.0, 600.0]),
    st.lists(st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 90)), min_size=1, max_size=80),
)
def test_no_minute_has_more_than_its_requests_and_one(rpm: float, pauses: list[float]):
    bench = Bench(requests_per_minute=rpm)
    for pause in pauses:
        bench.call(after_s=pause)
    assert max(map(len, in_windows(bench.starts))) <= rpm + 1


@given(
    st.sampled_from([1000.0, 30_000.0]),
    st.lists(st.tuples(st.one_of(st.just(0.0), st.floats(0, 90)), st.integers(1, 3000)), min_size=1, max_size=60),
)
def test_no_minute_has_more_than_its_tokens_but_for_the_calls_at_its_ends(tpm: float, calls: list[tuple[float, int]]):
    bench = Bench(tokens_per_minute=tpm)
    for pause, n_tokens in calls:
        bench.call(n_tokens, after_s=pause)
    for window in in_windows(bench.starts):
        assert sum(window[1:-1]) <= tpm + 1e-6


@given(st.lists(st.tuples(st.floats(0, 5), st.one_of(st.none(), st.floats(0, 200))), min_size=1, max_size=60))
def test_nobody_starts_in_a_break_nor_in_a_burst_after_it(steps: list[tuple[float, float | None]]):
    """All take their turns, before, between and after breaks that begin, and wait for them as the asker does."""
    bench = Bench(requests_per_minute=60)
    last, waiting = 0.0, []
    for pause, break_s in steps:
        bench.clock.now += pause
        if break_s is not None:
            bench.pacer.hold(break_s)
            last = max(last, bench.clock.now + break_s)
        waiting.append(bench.clock.now + bench.pacer.reserve(1))
    while waiting:
        waiting.sort()
        bench.clock.now = max(bench.clock.now, waiting.pop(0))
        if bench.pacer.is_held():
            waiting.append(bench.clock.now + bench.pacer.reserve(1))
        else:
            bench.starts.append((bench.clock.now, 1))
    assert min(at for at, _ in bench.starts) >= last - 0.002
    assert max(map(len, in_windows(bench.starts))) <= 61


def test_a_break_holds_everybody_until_its_end():
    bench = Bench()
    assert not bench.pacer.is_held()
    bench.pacer.hold(30)
    bench.pacer.hold(10)  # the longer one stays
    assert bench.pacer.is_held()
    assert bench.call() == pytest.approx(30)
    bench.clock.now += 29.9
    assert bench.pacer.is_held()
    bench.clock.now += 0.0995
    assert not bench.pacer.is_held()
    assert bench.call() == pytest.approx(0, abs=0.001)


def test_after_a_break_the_rate_goes_on():
    bench = Bench(requests_per_minute=60)
    bench.call()
    bench.pacer.hold(20)
    assert [bench.call() for _ in range(3)] == pytest.approx([20, 21, 22])


# Budgets

PRICE = Price(1.0, 10.0)
CALL = Expected(100, 10)  # 110 tokens, 200 µ$


def test_what_a_call_will_take_is_the_mean_of_those_before():
    ledger = Ledger(None, None, None)
    assert ledger.expect(100) == Expected(100, EXPECTED_TOKENS_OUT)
    for n_out in (10, 21):
        expected = ledger.expect(100)
        assert ledger.begin(expected)
        ledger.end(expected, 100, n_out)
    assert ledger.expect(7) == Expected(7, 16)
    assert ledger.expect(7).n_tokens == 23


def test_what_the_provider_counted_is_counted():
    ledger = Ledger(PRICE, None, None)
    for n_in, n_out in ((120, 30), (80, 7)):
        assert ledger.begin(CALL)
        ledger.end(CALL, n_in, n_out)
    assert (ledger.n_requests, ledger.n_tokens_in, ledger.n_tokens_out, ledger.n_uncounted) == (2, 200, 37, 0)
    assert ledger.micro_usd == 200 + 370


def test_where_a_provider_counts_nothing_the_expectation_is_counted():
    ledger = Ledger(PRICE, None, None)
    for n_in, n_out in ((None, None), (None, 3), (50, None)):
        assert ledger.begin(CALL)
        ledger.end(CALL, n_in, n_out)
    assert (ledger.n_tokens_in, ledger.n_tokens_out, ledger.n_uncounted) == (250, 23, 3)
    assert ledger.expect(1) == Expected(1, 3)  # only what was counted


def test_without_a_price_there_is_no_money():
    ledger = Ledger(None, 1, None)
    assert ledger.begin(Expected(10**9, 10**9))
    assert ledger.micro_usd is None


@pytest.mark.parametrize("budget", [{"budget_micro_usd": 1000}, {"budget_tokens": 550}])
def test_a_budget_lets_as_many_calls_begin_as_it_has_room_for(budget: dict[str, int]):
    ledger = Ledger(PRICE, budget.get("budget_micro_usd"), budget.get("budget_tokens"))
    assert [ledger.begin(CALL) for _ in range(7)] == [True] * 5 + [False] * 2
    assert ledger.n_requests == 5


def test_what_is_in_flight_is_reserved_until_it_is_known():
    ledger = Ledger(None, None, 220)
    assert ledger.begin(CALL)
    assert ledger.begin(CALL)
    assert not ledger.begin(CALL)
    ledger.end(CALL, 100, 5)  # five less than expected
    assert not ledger.begin(CALL)
    ledger.release(CALL)  # brought no answer
    assert not ledger.begin(Expected(100, 16))
    assert ledger.begin(Expected(100, 15))
    assert ledger.n_requests == 3


def test_a_budget_is_the_jobs_over_all_its_attempts():
    ledger = Ledger(PRICE, 1000, None)
    ledger.resume(3, 300, 30)
    assert (ledger.n_requests, ledger.n_tokens_in, ledger.n_tokens_out, ledger.micro_usd) == (3, 300, 30, 600)
    assert [ledger.begin(CALL) for _ in range(3)] == [True, True, False]


def test_what_was_spent_is_never_taken_back():
    ledger = Ledger(PRICE, 250, None)
    ledger.begin(CALL)
    ledger.end(CALL, 1000, 100)  # ten times what was expected
    assert ledger.micro_usd == 2000
    assert not ledger.begin(Expected(0, 1))


@given(
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60), st.sampled_from(["end", "fail", "wait"])), max_size=60),
)
def test_no_budget_is_passed_where_calls_take_what_is_expected(
    micro_usd: int, tokens: int, calls: list[tuple[int, int, str]]
):
    ledger = Ledger(PRICE, micro_usd, tokens)
    n_begun, in_flight = 0, []
    for n_in, n_out, ending in calls:
        expected = Expected(n_in, n_out)
        if not ledger.begin(expected):
            continue
        n_begun += 1
        if ending == "wait":
            in_flight.append(expected)
        elif ending == "fail":
            ledger.release(expected)
        else:
            ledger.end(expected, n_in, n_out)
    for expected in in_flight:
        ledger.end(expected, None, None)
    assert ledger.micro_usd is not None
    assert ledger.micro_usd <= micro_usd
    assert ledger.n_tokens_in + ledger.n_tokens_out <= tokens
    assert ledger.n_requests == n_begun


@given(st.integers(0, 3000), st.integers(1, 300), st.integers(1, 60))
def test_a_budget_is_used_up_to_the_last_call_that_fits(tokens: int, n_in: int, n_out: int):
    ledger = Ledger(None, None, tokens)
    call = Expected(n_in, n_out)
    while ledger.begin(call):
        ledger.end(call, n_in, n_out)
    assert ledger.n_requests == math.floor(tokens / (n_in + n_out))
