"""What the server has at hand before it answers anybody."""

import asyncio
import socket
from pathlib import Path

from featlas.entry import web
from featlas.settings import Settings
from featlas.store.prompt_templates import fetch_default, list_templates


def test_a_server_begins_with_the_templates_that_come_with_featlas(tmp_path: Path) -> None:
    for _ in range(2):
        with web.open_store(Settings(home=tmp_path)) as store, store.read() as session:
            assert fetch_default(session).name == "general"
            assert len(list_templates(session)) == 4


def test_an_answer_is_sent_at_once() -> None:
    """A body that waits until its head is acknowledged (Nagle's algorithm) comes 40 ms later."""

    async def accepted() -> bool:
        taken = asyncio.get_running_loop().create_future()

        class Greeter(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                taken.set_result(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        with web.bind("127.0.0.1", 0) as bound:
            server = await asyncio.get_running_loop().create_server(Greeter, sock=bound)
            async with server:
                _, writer = await asyncio.open_connection(*bound.getsockname())
                is_set = await taken
                writer.close()
        return bool(is_set)

    assert asyncio.run(accepted())
