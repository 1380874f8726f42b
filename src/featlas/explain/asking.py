"""Asks a language model many questions at once; every answer is kept before its place is given to the next question.

One call is one request: waiting, repeating, the one repair of an unreadable answer, pace and budget are decided here
and nowhere below. A stop lets the calls in flight come home, because they are paid for.
"""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from featlas.domain import FailureCause
from featlas.errors import ExternalError, InputError
from featlas.explain.answers import BadAnswer, ReadAnswer, read_answer
from featlas.explain.chat import ChatAnswer, ChatClient, ChatFailure, ChatQuestion
from featlas.explain.pacing import Expected, Ledger, Pacer
from featlas.explain.token_count import estimate_prompt

GRACE_S = 20.0
"""How long a stop waits for the calls in flight."""

MAX_WAIT_S = 60.0
"""Longest wait between two tries, where the provider does not say how long."""

LONGEST_BREAK_S = 900.0
"""A provider that asks for a longer break ends the run, with words, instead of a job that seems to hang."""

_LOOK_S = 0.2
MIN_OUTAGE = 10
"""After so many questions in a row without an answer (more where more run at once) nobody is asked any more."""


@dataclass(frozen=True)
class Item:
    """A question about one feature; `note` is carried along for whoever keeps the answer."""

    feature_index: int
    question: ChatQuestion
    key: str
    note: Any = None


def question_key(provider: str, base_url: str, question: ChatQuestion) -> str:
    """sha256 over everything that decides an answer: who is asked, in which words, with which parameters."""
    text = json.dumps([provider, base_url, asdict(question)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What came of one question: a read answer, or a failure with its cause.

    `answer` is the completion it was read from, with the tokens of all calls that it took (a repair is one more);
    None where none came, and where it was known before (`is_known`), which costs nothing.
    """

    item: Item
    read: ReadAnswer | None
    answer: ChatAnswer | None
    cause: FailureCause | None = None
    message: str = ""
    is_known: bool = False


class AnswerKeeper(Protocol):
    """Where answers are kept; both are called from one thread at a time, not that of the event loop."""

    def find(self, key: str) -> str | None:
        """The completion that the very same question got before, if there is one."""
        ...

    def save(self, outcomes: Sequence[Outcome]) -> None:
        """Keep these outcomes for good; when it returns they survive a kill."""
        ...


@dataclass(frozen=True)
class AskOptions:
    """How many calls run at once and how often a failed one is repeated."""

    concurrency: int = 5
    max_retries: int = 5


@dataclass
class AskTotals:
    """What came of all questions."""

    n_answered: int = 0
    n_known: int = 0
    n_retries: int = 0
    n_repairs: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    is_over_budget: bool = False

    def count(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.n_known += outcome.is_known
        if outcome.cause is None:
            self.n_answered += 1
        else:
            self.failures[str(outcome.cause)] += 1


class _Left(Exception):
    """A question is left for another time."""


class Asker:
    """Works through questions; `stop()` raises when the job was asked to stop, `on_done` is told of each outcome."""

    def __init__(
        self,
        client: ChatClient,
        keeper: AnswerKeeper,
        options: AskOptions,
        pacer: Pacer,
        ledger: Ledger,
        *,
        stop: Callable[[], None] = lambda: None,
        on_done: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        self._client = client
        self._keeper = keeper
        self._options = options
        self._pacer, self._ledger = pacer, ledger
        self._stop, self._on_done = stop, on_done
        self._reason: Exception | None = None
        self._n_unanswered = 0
        self.totals = AskTotals()

    async def run(self, chunks: Iterator[Sequence[Item]]) -> AskTotals:
        """Ask them all, chunk after chunk, each fetched when it is needed.

        Raises whatever `stop`, the chunks or the keeper raised; InputError where the provider accepts neither the key
        nor any question; ExternalError where it is out of reach or out of credit. What was answered until then is kept.
        """
        self._halted = asyncio.Event()
        self._items: asyncio.Queue[Item | None] = asyncio.Queue(maxsize=2 * self._options.concurrency)
        self._unsaved: asyncio.Queue[tuple[Outcome, asyncio.Future[None]] | None] = asyncio.Queue()
        # SQLite and the keeper's own state: one thread at a time.
        self._keeping = asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as group:
                saver = group.create_task(self._save_all())
                workers = [group.create_task(self._work()) for _ in range(self._options.concurrency)]
                producer = group.create_task(self._produce(chunks))
                watcher = group.create_task(self._watch(workers))
                await asyncio.wait(workers)
                self._unsaved.put_nowait(None)
                await saver
                producer.cancel()
                watcher.cancel()
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from group_error
        if self._reason is not None:
            raise self._reason
        return self.totals

    async def _produce(self, chunks: Iterator[Sequence[Item]]) -> None:
        with self._halting():
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                for item in chunk:
                    await self._items.put(item)
        for _ in range(self._options.concurrency):
            await self._items.put(None)

    async def _watch(self, workers: list[asyncio.Task[None]]) -> None:
        """Look again and again whether to stop; a stop waits a while for the calls in flight, but not for ever."""
        with self._halting():
            while True:
                self._stop()
                await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(GRACE_S)
        for worker in workers:
            worker.cancel()

    def _halt(self, reason: Exception | None) -> None:
        """Ask nothing more; what is in flight may come home."""
        self._reason = self._reason or reason
        self._halted.set()

    @contextmanager
    def _halting(self) -> Iterator[None]:
        """What goes wrong in here ends the run, but not the calls of the others: `run` raises it when they are home."""
        try:
            yield
        except Exception as reason:  # noqa: BLE001 (nothing is swallowed: `run` raises it)
            self._halt(reason)

    async def _work(self) -> None:
        while not self._halted.is_set():
            item = await self._next_item()
            if item is None:
                return
            with self._halting(), suppress(_Left):
                outcome = await self._ask(item)
                saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._unsaved.put_nowait((outcome, saved))
                await saved

    async def _next_item(self) -> Item | None:
        """The next item; None when there is none, or nobody may ask any more."""
        getting = asyncio.ensure_future(self._items.get())
        halting = asyncio.ensure_future(self._halted.wait())
        try:
            await asyncio.wait((getting, halting), return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            halting.cancel()

    async def _save_all(self) -> None:
        is_open = True
        while is_open:
            batch = [await self._unsaved.get()]
            while not self._unsaved.empty():
                batch.append(self._unsaved.get_nowait())
            is_open = None not in batch
            unsaved = [one for one in batch if one is not None]
            if unsaved:
                async with self._keeping:
                    await asyncio.to_thread(self._keeper.save, [outcome for outcome, _ in unsaved])
            for outcome, saved in unsaved:
                self.totals.count(outcome)
                self._on_done(outcome)
                if not saved.cancelled():
                    saved.set_result(None)

    async def _ask(self, item: Item) -> Outcome:
        async with self._keeping:
            known = await asyncio.to_thread(self._keeper.find, item.key)
        if known is not None:
            try:
                return Outcome(item, read_answer(known), None, is_known=True)
            except BadAnswer:
                pass  # kept by an older version that read it in another way: ask again
        try:
            answer = await self._call(item.question)
        except ChatFailure as failure:
            return self._unanswered(item, failure, None)
        if answer.refusal is not None:
            return Outcome(item, None, answer, FailureCause.REFUSED, answer.refusal)
        try:
            return Outcome(item, read_answer(answer.text), answer)
        except BadAnswer as why:
            return await self._repair(item, answer, why)

    async def _repair(self, item: Item, first: ChatAnswer, why: BadAnswer) -> Outcome:
        """The one second chance: with twice the room where the answer was cut off, else told what was wrong."""
        self.totals.n_repairs += 1
        question = item.question
        if first.is_cut:
            question = replace(question, max_output_tokens=2 * question.max_output_tokens)
        else:
            wrong = f"Your last answer could not be read: {why}. Answer with the JSON object alone."
            question = replace(question, user=f"{question.user}\n\n{wrong}")
        try:
            second = await self._call(question)
        except ChatFailure as failure:
            return self._unanswered(item, failure, first)
        except _Left:  # the first answer is paid for, so it is counted
            return _unreadable(item, item.question, first, f"{why}; the job ended before it could be asked again")
        both = _both(first, second)
        if second.refusal is not None:
            return Outcome(item, None, both, FailureCause.REFUSED, second.refusal)
        try:
            return Outcome(item, read_answer(second.text), both)
        except BadAnswer as still:
            return _unreadable(item, question, both, str(still))

    async def _call(self, question: ChatQuestion) -> ChatAnswer:
        """The answer to one question, asked again while that can help; raises ChatFailure or _Left."""
        n_tokens_in = estimate_prompt(question.system, question.user)
        attempt = 0
        while True:
            expected = self._ledger.expect(n_tokens_in)
            await self._wait_for_turn(expected)
            if not self._ledger.begin(expected):
                self.totals.is_over_budget = True
                self._halt(None)
                raise _Left
            try:
                answer = await self._client.ask(question)
            except ChatFailure as failure:
                self._ledger.release(expected)
                self._refuse_hopeless(failure)
                if not failure.is_retryable or attempt >= self._options.max_retries:
                    raise
                await self._wait_to_retry(failure, attempt)
            except BaseException:
                self._ledger.release(expected)
                raise
            else:
                self._ledger.end(expected, answer.n_tokens_in, answer.n_tokens_out)
                self._n_unanswered = 0
                return answer
            attempt += 1
            self.totals.n_retries += 1

    async def _wait_for_turn(self, expected: Expected) -> None:
        await self._sleep(self._pacer.reserve(expected.n_tokens))
        while self._pacer.is_held():  # since the turn was taken; all who waited starting at once would be a burst
            await self._sleep(self._pacer.reserve(expected.n_tokens))
        if self._halted.is_set():
            raise _Left

    async def _wait_to_retry(self, failure: ChatFailure, attempt: int) -> None:
        if failure.retry_after_s:
            self._pacer.hold(failure.retry_after_s)
        else:
            await self._sleep(min(MAX_WAIT_S, 2.0**attempt) * random.uniform(0.5, 1.0))

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but for as long as questions may be asked; raises _Left."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._halted.wait(), seconds)
        except TimeoutError:
            return
        raise _Left

    def _refuse_hopeless(self, failure: ChatFailure) -> None:
        """Stop the whole run where no other feature would fare better; raises _Left."""
        if failure.cause is FailureCause.AUTH:
            self._halt(InputError(f"{failure}; nothing more was asked. Check the key, then resume the job"))
            raise _Left
        if failure.cause is FailureCause.RATE_LIMIT and not failure.is_retryable:
            self._halt(ExternalError(f"{failure}; nothing more was asked. Resume the job when there is credit again"))
            raise _Left
        if (failure.retry_after_s or 0.0) > LONGEST_BREAK_S:
            asked = f"it asks for a break of {failure.retry_after_s:,.0f} s"
            self._halt(ExternalError(f"{failure}; {asked}, so nothing more was asked. Resume the job after it"))
            raise _Left

    def _unanswered(self, item: Item, failure: ChatFailure, first: ChatAnswer | None) -> Outcome:
        """A question without an answer; many in a row stop the run."""
        self._n_unanswered += 1
        if self._n_unanswered >= max(MIN_OUTAGE, 2 * self._options.concurrency):
            many = f"{self._n_unanswered} questions in a row had no answer, the last with: {failure}"
            if failure.cause is FailureCause.REQUEST:
                self._halt(InputError(f"{many}. Nothing more was asked; `featlas providers test` tries one question"))
            else:
                self._halt(ExternalError(f"{many}. The provider seems to be out of reach; resume the job later"))
        return Outcome(item, None, first, failure.cause, str(failure))


def _unreadable(item: Item, asked: ChatQuestion, answer: ChatAnswer, message: str) -> Outcome:
    if answer.is_cut:
        return Outcome(item, None, answer, FailureCause.TRUNCATED, f"cut off at {asked.max_output_tokens} tokens")
    return Outcome(item, None, answer, FailureCause.BAD_ANSWER, message)


def _both(first: ChatAnswer, second: ChatAnswer) -> ChatAnswer:
    """The second answer, with what both of them used."""
    return replace(
        second,
        n_tokens_in=_sum(first.n_tokens_in, second.n_tokens_in),
        n_tokens_out=_sum(first.n_tokens_out, second.n_tokens_out),
        wall_s=first.wall_s + second.wall_s,
    )


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def figures(totals: AskTotals, ledger: Ledger) -> Mapping[str, Any]:
    """All counts, as a job's result keeps them."""
    return {
        "n_requests": ledger.n_requests,
        "n_retries": totals.n_retries,
        "n_repairs": totals.n_repairs,
        "n_from_cache": totals.n_known,
        "n_failed": sum(totals.failures.values()),
        "n_by_cause": dict(sorted(totals.failures.items())),
        "n_tokens_in": ledger.n_tokens_in,
        "n_tokens_out": ledger.n_tokens_out,
        "n_uncounted": ledger.n_uncounted,
        "cost_micro_usd": ledger.micro_usd,
        "is_over_budget": totals.is_over_budget,
    }
