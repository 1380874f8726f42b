"""Shares the blocks of an extraction out among the workers that want to help; the job's own worker is one of them.

The worker that has the job lays the shares out in the table, calls the others, takes shares itself, takes over those of
workers that died, and describes and publishes the run when every block is there. So nobody has to notice that all is
done, and a job that nobody helps with is done all the same.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from featlas.errors import ConflictError, DatabaseUnreachable
from featlas.pipeline.plan import Plan
from featlas.pipeline.progress import Stop, StopFlag
from featlas.pipeline.registry import JobContext, Sharing
from featlas.store.artifacts import has_block, list_finished_blocks
from featlas.store.session import Store
from featlas.store.shards import (
    Shard,
    claim_shard,
    count_open_shards,
    finish_shard,
    keep_shard,
    lay_out_shards,
    list_finished_shards,
    release_shard,
)

MOST_SHARDS = 64
POLL_S = 0.25
BEAT_S = 1.0


def shard_ranges(n_blocks: int) -> list[range]:
    """The shares of so many blocks: consecutive, as even as can be, and a function of their number alone."""
    n = min(n_blocks, MOST_SHARDS)
    edges = [index * n_blocks // n for index in range(n + 1)]
    return [range(first, end) for first, end in pairwise(edges)]


def blocks_to_make(plan: Plan, n_positions: list[int], context: JobContext) -> Generator[int]:
    """The blocks that this process has to make, one by one, until all of the plan's are there.

    A block counts as made when the next one is asked for. What others make meanwhile is added to the progress. Close
    it where it breaks off, so that a share that is held is given back.
    """
    todo = _missing(plan)
    if context.sharing is None or context.job_id is None or len(todo) < 2:
        yield from todo
        return
    yield from _Shared(plan, n_positions, context, context.job_id, context.sharing).blocks(set(todo))
    yield from _missing(plan)  # a file that a helper left damaged


def _missing(plan: Plan) -> list[int]:
    done = set(list_finished_blocks(plan.folder))
    return [block for block in range(plan.n_blocks) if block not in done]


@dataclass
class _Shared:
    """One worker's view of the shares of a job that it has."""

    plan: Plan
    n_positions: list[int]
    context: JobContext
    job_id: int
    sharing: Sharing

    def blocks(self, todo: set[int]) -> Generator[int]:
        store, key = self.context.store, self.plan.folder.name
        lay_out_shards(store, self.context.guard, self.job_id, key, shard_ranges(self.plan.n_blocks))
        told = set(list_finished_shards(store, self.job_id))
        self.sharing.call_others(count_open_shards(store, self.job_id) - 1)
        while count_open_shards(store, self.job_id):
            self.context.stop.check()
            shard = claim_shard(store, self.job_id, key, self.sharing.owner, self.sharing.lease_s)
            if shard is None:
                time.sleep(POLL_S)
            else:
                yield from self._own(shard, todo)
                told.add(shard.shard_index)
            self._tell_of_others(told, todo)

    def _own(self, shard: Shard, todo: set[int]) -> Generator[int]:
        flag = StopFlag()
        with held(self.context.store, shard, self.sharing.lease_s, flag):
            for block in shard.blocks:
                if has_block(self.plan.folder, block):
                    self._count_once(block, todo)
                else:
                    yield block
                    todo.discard(block)

    def _tell_of_others(self, told: set[int], todo: set[int]) -> None:
        for index, blocks in list_finished_shards(self.context.store, self.job_id).items():
            if index not in told:
                told.add(index)
                for block in blocks:
                    self._count_once(block, todo)

    def _count_once(self, block: int, todo: set[int]) -> None:
        if block in todo:
            todo.discard(block)
            self.context.progress.advance(self.n_positions[block])


@contextmanager
def held(store: Store, shard: Shard, lease_s: float, flag: StopFlag) -> Iterator[None]:
    """Keep a share's lease alive while the block runs; finished at its end, given back where it breaks off.

    `flag` stops who works on it where the share was taken over. A share that was is left as it is: what was made of it
    is as good as what the other makes.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=_beat, args=(store, shard, lease_s, flag, is_over), daemon=True)
    thread.start()
    is_done = False
    try:
        yield
        is_done = True
    finally:
        is_over.set()
        thread.join()
        _let_go(store, shard, is_done=is_done)


def _beat(store: Store, shard: Shard, lease_s: float, flag: StopFlag, is_over: threading.Event) -> None:
    last = time.monotonic()
    while not is_over.wait(min(BEAT_S, lease_s / 3)):
        try:
            keep_shard(store, shard, lease_s)
            last = time.monotonic()
        except ConflictError as error:
            flag.stop(error)
            return
        except DatabaseUnreachable as error:
            if time.monotonic() - last > lease_s:
                flag.stop(error)
                return


def _let_go(store: Store, shard: Shard, *, is_done: bool) -> None:
    try:
        if is_done:
            finish_shard(store, shard)
        else:
            release_shard(store, shard)
    except ConflictError:
        return  # taken over meanwhile


@dataclass(frozen=True)
class EitherStop:
    """Stops for the one reason or the other."""

    first: Stop
    second: Stop

    def check(self) -> None:
        """Raise whichever reason there is."""
        self.first.check()
        self.second.check()
