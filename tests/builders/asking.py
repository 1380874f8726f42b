"""Asks a scripted chat server many questions, as a labeling job would, and keeps the answers in memory."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.builders.chat import KEY, question

from featlas.errors import FeatlasError
from featlas.explain.asking import Asker, AskOptions, AskTotals, Item, Outcome
from featlas.explain.client import open_client
from featlas.explain.pacing import Ledger, Pacer
from featlas.explain.provider import Provider, Secret
from featlas.testing.chat_scripts import ChatRequest, Script, Step, answer_label, label_answer
from featlas.testing.scripted_chat import ScriptedChat, running_chat_server


def item_of(index: int, mark: str = "", **changes: Any) -> Item:
    """The question about a feature; no user text begins with another one."""
    return Item(index, question(user=f"{mark}What is feature {index}?", **changes), f"key {mark}{index}")


def label_of(user: str) -> str:
    """The label that the scripts give for a user text."""
    return json.loads(label_answer(user))["semantic_label"]


def is_repair(request: ChatRequest) -> bool:
    return request.user != request.root


def first_then(first: Step, then: Script = answer_label) -> Script:
    """A script that does something else with the first request for each question."""
    return lambda request: then(request) if request.n_same or is_repair(request) else first


@dataclass
class Keeper:
    """Keeps answers in memory, and what went wrong with keeping; `on_save` may raise."""

    known: Mapping[str, str] = field(default_factory=dict)
    on_save: Callable[[], None] = lambda: None
    on_find: Callable[[str], None] = lambda _key: None
    saved: list[Outcome] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: str) -> str | None:
        with self._alone():
            self.on_find(key)
            return self.known.get(key)

    def save(self, outcomes: Sequence[Outcome]) -> None:
        with self._alone():
            if not outcomes:
                self.faults.append("nothing to save")
            self.on_save()
            self.saved += outcomes

    def _alone(self) -> threading.Lock:
        if threading.current_thread() is threading.main_thread():
            self.faults.append("called on the thread of the event loop")
        if self._lock.locked():
            self.faults.append("called by two threads at once")
        return self._lock


@dataclass
class Asked:
    """What came of a run of the asker."""

    totals: AskTotals
    ledger: Ledger
    keeper: Keeper
    requests: tuple[ChatRequest, ...]
    peak_in_flight: int
    done: list[Outcome]
    error: BaseException | None

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """By feature; no feature has two."""
        found = {outcome.item.feature_index: outcome for outcome in self.keeper.saved}
        assert len(found) == len(self.keeper.saved)
        return found

    @property
    def labels(self) -> dict[int, str | None]:
        return {index: one.read.semantic_label for index, one in self.outcomes.items() if one.read is not None}

    @property
    def causes(self) -> dict[int, str]:
        return {index: str(one.cause) for index, one in self.outcomes.items() if one.cause is not None}


def chunked(items: Sequence[Item], size: int = 7) -> Iterator[Sequence[Item]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def ask_many(
    chat: ScriptedChat,
    items: Sequence[Item] | Iterator[Sequence[Item]],
    *,
    concurrency: int = 5,
    max_retries: int = 0,
    keeper: Keeper | None = None,
    pacer: Pacer | None = None,
    ledger: Ledger | None = None,
    stop: Callable[[], None] = lambda: None,
    timeout_s: float = 30,
) -> Asked:
    """Run the real asker with the real client against a running server; an error that it ends with is returned."""
    keeper, ledger = keeper or Keeper(), ledger or Ledger(None, None, None)
    chunks = chunked(items) if isinstance(items, Sequence) else items
    done: list[Outcome] = []
    n_before = len(chat.requests)

    async def run() -> tuple[AskTotals, BaseException | None]:
        client = open_client(Provider("compatible", chat.openai_url, Secret(KEY)), timeout_s=timeout_s)
        options = AskOptions(concurrency, max_retries)
        asker = Asker(client, keeper, options, pacer or Pacer(None, None), ledger, stop=stop, on_done=done.append)
        try:
            return await asker.run(chunks), None
        except FeatlasError as error:
            return asker.totals, error
        finally:
            await client.close()

    totals, error = asyncio.run(run())
    assert keeper.faults == []
    assert [id(one) for one in done] == [id(one) for one in keeper.saved]
    return Asked(totals, ledger, keeper, chat.requests[n_before:], chat.peak_in_flight, done, error)


def ask_script(script: Script, n: int | Sequence[Item], **options: Any) -> Asked:
    """The same with a server of its own, which follows a script, and n questions."""
    items = [item_of(at) for at in range(n)] if isinstance(n, int) else n
    with running_chat_server(script) as chat:
        return ask_many(chat, items, **options)
