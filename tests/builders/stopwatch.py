"""How long some of many steps take together."""

import time
from collections.abc import Callable


class Stopwatch:
    """The seconds of everything that was done by it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, act: Callable[..., None], *arguments: object) -> None:
        began = time.perf_counter()
        act(*arguments)
        self.seconds += time.perf_counter() - began
