"""Shares work out to as many threads as torch computes with, results in order; each of them computes alone.

What a part gives does not depend on the number of threads: inside a thread every product is made by that thread.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def use_threads(n: int) -> None:
    """Compute with so many threads; 0 leaves it at torch's choice, all physical cores."""
    if n:
        torch.set_num_threads(n)


def map_in_threads(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Do the parts and iterate their results in order; no more are begun than there are threads, and one.

    An error of a part is raised at its turn; what was begun then is waited for, and no more is.
    """
    n = torch.get_num_threads()
    begun: deque[Future[Result]] = deque()
    try:
        for part in parts:
            begun.append(_threads(n).submit(work, part))
            if len(begun) > n:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for one in begun:
            if not one.cancel():
                one.exception()


@cache
def _threads(n: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(n, thread_name_prefix="part", initializer=_compute_alone)
    list(pool.map(lambda _: threading.Event().wait(0.01), range(n)))  # all are there, and each counts for one
    torch.set_num_threads(n)  # what a new thread of somebody else starts with
    return pool


def _compute_alone() -> None:
    torch.get_num_threads()  # the first question a thread asks sets its number anew: it must not come later
    torch.set_num_threads(1)
