import asyncio
from types import SimpleNamespace

from tests.unit.api.conftest import Served

from featlas.api.turns import N_AT_A_TIME, in_turn


def test_no_more_than_so_many_are_on_at_a_time_and_all_come_on():
    turns = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(turns=asyncio.Semaphore(2))))
    n_on, most, done = 0, 0, 0

    async def ask() -> None:
        nonlocal n_on, most, done
        async for _ in in_turn(turns):  # type: ignore[arg-type]
            n_on += 1
            most = max(most, n_on)
            await asyncio.sleep(0.001)
            n_on -= 1
            done += 1

    async def ask_all() -> None:
        await asyncio.gather(*(ask() for _ in range(9)))

    asyncio.run(ask_all())
    assert (most, done) == (2, 9)


def test_a_failed_request_gives_its_turn_back(served: Served):
    """More failures than there are turns, then an answer."""
    assert {served.of_sae("features/999").status_code for _ in range(N_AT_A_TIME + 2)} == {404}
    assert served.of_sae("features/0").status_code == 200
