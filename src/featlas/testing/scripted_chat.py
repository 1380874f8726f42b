"""A chat server over real HTTP that does what a script says, so that labeling meets whatever a provider may do.

It speaks OpenAI's `POST /v1/chat/completions` and `GET /v1/models` and Anthropic's `POST /v1/messages`. As a process
of its own: `python -m featlas.testing.scripted_chat --script label --log FILE`; it prints its address on a line.
"""

import argparse
import json
import re
import socket
import socketserver
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

from featlas.testing.chat_scripts import (
    SCRIPTS,
    Answer,
    ChatProtocol,
    ChatRequest,
    CloseSocket,
    Delay,
    Drip,
    Raw,
    Refuse,
    Script,
    Status,
    Step,
    Truncate,
    delayed,
)

PATHS: Mapping[str, ChatProtocol] = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}
CountTokens = Callable[[str], int]
_N_DRIPS = 40


def count_words(text: str) -> int:
    """Words and signs: a count that needs no tokenizer."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def counting_with(folder: Path) -> CountTokens:
    """Counts with the tokenizer of a local model."""
    from featlas.sources.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder)
    return lambda text: len(tokenizer.encode_batch([text])[0])


class ScriptedChat:
    """A running server: where it is, and everything that it was asked."""

    def __init__(self, script: Script, *, count_tokens: CountTokens = count_words, log: Path | None = None) -> None:
        self.script = script
        self.count_tokens = count_tokens
        self.stopping = threading.Event()
        self._log = log
        self._lock = threading.Lock()
        self._requests: list[ChatRequest] = []
        self._n_same: Counter[tuple[str, str]] = Counter()
        self._roots: dict[str, None] = {}
        self._n_in_flight = 0
        self._peak = 0
        self._server = _Server(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self._server.chat = self

    @property
    def url(self) -> str:
        """The address for Anthropic's protocol; the other one has `/v1` behind it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """The address for OpenAI's protocol."""
        return f"{self.url}/v1"

    @property
    def requests(self) -> tuple[ChatRequest, ...]:
        """All requests so far, in the order in which they arrived."""
        with self._lock:
            return tuple(self._requests)

    @property
    def peak_in_flight(self) -> int:
        """The largest number of requests that were being answered at once."""
        with self._lock:
            return self._peak

    def start(self, port: int = 0) -> None:
        """Listen on a port of the loopback address, a free one for 0."""
        self._server.server_address = ("127.0.0.1", port)
        self._server.server_bind()
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Answer nothing any more and close every connection."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()

    def record(self, protocol: ChatProtocol, headers: Mapping[str, str], body: Mapping[str, Any]) -> ChatRequest:
        """Note a request that has arrived, in memory and as a line of the log."""
        system, user = _read_prompt(body)
        with self._lock:
            asked = f"{user}\n"
            root = next((root for root in self._roots if asked.startswith(root)), asked)
            self._roots[root] = None
            self._n_same[system, user] += 1
            request = ChatRequest(
                protocol=protocol,
                model=str(body.get("model")),
                system=system,
                user=user,
                schema=_read_schema(body),
                headers=headers,
                body=body,
                n=len(self._requests),
                n_same=self._n_same[system, user] - 1,
                root=root[:-1],
                arrived_s=time.monotonic(),
            )
            self._requests.append(request)
            self._n_in_flight += 1
            self._peak = max(self._peak, self._n_in_flight)
            if self._log is not None:
                self._append(request)
        return request

    def finish(self) -> None:
        """Note that a request has had its answer."""
        with self._lock:
            self._n_in_flight -= 1

    def _append(self, request: ChatRequest) -> None:
        names = ("n", "n_same", "protocol", "model", "system", "user", "schema", "key", "arrived_s")
        line = json.dumps({name: getattr(request, name) for name in names})
        assert self._log is not None
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")


@contextmanager
def running_chat_server(
    script: Script, *, count_tokens: CountTokens = count_words, log: Path | None = None, port: int = 0
) -> Iterator[ScriptedChat]:
    """A server in threads of this process, on a free port unless one is named; it ends with the block."""
    chat = ScriptedChat(script, count_tokens=count_tokens, log=log)
    chat.start(port)
    try:
        yield chat
    finally:
        chat.stop()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512
    chat: ScriptedChat

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections: set[socket.socket] = set()

    def _say_nothing(self, request: object, client_address: object) -> None:
        """A client that goes away, as those with a time limit do, is no error here."""

    handle_error = _say_nothing

    def close_connections(self) -> None:
        for connection in list(self.connections):
            _shut(connection)


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    content: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def chat(self) -> ScriptedChat:
        """The server that this connection belongs to, by its own class."""
        return self._own().chat

    def _own(self) -> "_Server":
        return cast(_Server, self.server)

    def setup(self) -> None:
        super().setup()
        self._own().connections.add(self.connection)

    def finish(self) -> None:
        self._own().connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what arrived is in `requests`."""

    def do_GET(self) -> None:
        models = {"object": "list", "data": [{"id": "scripted", "object": "model", "created": 0, "owned_by": "test"}]}
        self._send(_as_json(200, models) if self.path == "/v1/models" else _as_json(404, {"error": "no such path"}))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        protocol = PATHS.get(self.path)
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if protocol is None or not isinstance(body, dict) or not _is_question(protocol, body):
            self._send(_as_json(400 if protocol else 404, {"error": {"message": "no question of this protocol"}}))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = self.chat.record(protocol, headers, body)
        try:
            self._act(request, self.chat.script(request))
        finally:
            self.chat.finish()

    def _act(self, request: ChatRequest, step: Step) -> None:
        while isinstance(step, Delay):
            self.chat.stopping.wait(step.seconds)
            step = step.then
        if self.chat.stopping.is_set() or (isinstance(step, CloseSocket) and not step.in_body):
            self.close_connection = True
            _shut(self.connection)
            return
        reply = _reply(request, step, self.chat.count_tokens)
        if isinstance(step, CloseSocket):
            self._send(reply, until=len(reply.content) // 2)
        elif isinstance(step, Drip):
            self._send(reply, over_s=step.seconds)
        else:
            self._send(reply)

    def _send(self, reply: _Reply, *, until: int | None = None, over_s: float = 0.0) -> None:
        """Send a reply, only up to a byte of its body or over so many seconds."""
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        content = reply.content[:until]
        size = max(1, len(content) // _N_DRIPS) if over_s else max(1, len(content))
        for at in range(0, len(content), size):
            self.wfile.write(content[at : at + size])
            if over_s and self.chat.stopping.wait(over_s / _N_DRIPS):
                break
        if until is not None:
            self.close_connection = True
            _shut(self.connection)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was first


def _is_question(protocol: ChatProtocol, body: Mapping[str, Any]) -> bool:
    has_both = isinstance(body.get("model"), str) and bool(body.get("messages"))
    return has_both and (protocol == "openai" or isinstance(body.get("max_tokens"), int))


def _read_prompt(body: Mapping[str, Any]) -> tuple[str, str]:
    """System and user text of either protocol."""
    texts = {"system": _text(body.get("system")), "user": ""}
    for message in body["messages"]:
        role = "system" if message["role"] in ("system", "developer") else message["role"]
        texts[role] = texts.get(role, "") + _text(message["content"])
    return texts["system"], texts["user"]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _read_schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    of_openai = (body.get("response_format") or {}).get("json_schema") or {}
    of_anthropic = (body.get("output_config") or {}).get("format") or {}
    return of_openai.get("schema") or of_anthropic.get("schema")


def _as_json(status: int, body: object, headers: Mapping[str, str] | None = None) -> _Reply:
    content = json.dumps(body).encode()
    return _Reply(status, {"Content-Type": "application/json", **(headers or {})}, content)


def _reply(request: ChatRequest, step: Step, count_tokens: CountTokens) -> _Reply:
    match step:
        case Raw(body, content_type):
            return _Reply(200, {"Content-Type": content_type}, body.encode())
        case Status(code, headers, _, _, body) if body is not None:
            return _Reply(code, headers, body.encode())
        case Status(code, headers, message, error_code, _):
            error = {"message": message, "type": error_code or "scripted", "code": error_code}
            return _as_json(code, {"type": "error", "error": error}, headers)
        case _:
            completion = _completion if request.protocol == "openai" else _message
            body = completion(request, step)
            if not isinstance(step, Answer) or step.has_usage:
                body["usage"] = _usage(request, step, count_tokens)
            return _as_json(200, body)


def _spoken(step: Step) -> str:
    """The text that a step has the model say."""
    match step:
        case Answer(text) | Truncate(text) | Drip(_, text):
            return text
        case Refuse(words, is_filtered):
            return "" if is_filtered else words
        case _:
            return "This text will not arrive."


def _usage(request: ChatRequest, step: Step, count_tokens: CountTokens) -> dict[str, int]:
    n_in = count_tokens(request.system) + count_tokens(request.user)
    n_out = count_tokens(_spoken(step))
    if request.protocol == "anthropic":
        return {"input_tokens": n_in, "output_tokens": n_out}
    return {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out}


def _completion(request: ChatRequest, step: Step) -> dict[str, Any]:
    ending = "length" if isinstance(step, Truncate) else "stop"
    message: dict[str, Any] = {"role": "assistant", "content": _spoken(step), "refusal": None}
    if isinstance(step, Refuse):
        message["content"] = None
        message["refusal"] = None if step.is_filtered else step.words
        ending = "content_filter" if step.is_filtered else "stop"
    return {
        "id": f"chatcmpl-{request.n}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "finish_reason": ending, "logprobs": None}],
    }


def _message(request: ChatRequest, step: Step) -> dict[str, Any]:
    endings = {Truncate: "max_tokens", Refuse: "refusal"}
    spoken = _spoken(step)
    return {
        "id": f"msg_{request.n}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [{"type": "text", "text": spoken}] if spoken else [],
        "stop_reason": endings.get(type(step), "end_turn"),
        "stop_sequence": None,
    }


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", choices=sorted(SCRIPTS), default="label")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--tokenizer", type=Path, help="folder of a local model whose tokenizer counts")
    parser.add_argument("--log", type=Path, help="file that gets a JSON line per request as it arrives")
    options = parser.parse_args()
    count_tokens = counting_with(options.tokenizer) if options.tokenizer else count_words
    script = delayed(SCRIPTS[options.script], options.delay)
    with running_chat_server(script, count_tokens=count_tokens, log=options.log, port=options.port) as chat:
        sys.stdout.write(chat.url + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
