"""The scripted server as labeling sees it, and as a process of its own that a test of kills can count on."""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.builders.chat import ask, ask_once, provider_of, question
from tests.builders.tiny_tokenizers import byte_level

from featlas.domain import FailureCause
from featlas.explain.answers import read_answer
from featlas.explain.chat import ChatAnswer, ChatFailure
from featlas.explain.client import open_client
from featlas.explain.provider import Provider
from featlas.testing.chat_scripts import (
    MIXED_ANSWERED,
    MIXED_FAILED,
    Answer,
    after_thinking,
    answer_label,
    answer_mixed,
    in_fence,
    in_prose,
    label_answer,
    mixed_kind,
)
from featlas.testing.scripted_chat import counting_with, running_chat_server

PROMPTS = [f"prompt number {n}" for n in range(120)]


def test_the_script_label_answers_every_prompt_with_its_own_label():
    texts = []
    for user in ("one", "two", "one"):
        answer, _ = ask("openai", answer_label, user=user)
        assert isinstance(answer, ChatAnswer)
        texts.append(answer.text)
    assert texts == [label_answer("one"), label_answer("two"), label_answer("one")]
    assert read_answer(texts[0]).category_label == "Test > Scripted"
    assert read_answer(texts[0]).semantic_label != read_answer(texts[1]).semantic_label


@pytest.mark.parametrize("wrap", [str, in_prose, in_fence, after_thinking])
def test_a_label_is_read_through_the_usual_dirt(wrap):
    assert read_answer(wrap(label_answer("x"))) == read_answer(label_answer("x"))


def _outcomes(name: str) -> dict[str, list[ChatAnswer | ChatFailure]]:
    """Each prompt asked twice."""
    with running_chat_server(answer_mixed) as chat:

        async def ask_all() -> dict[str, list[ChatAnswer | ChatFailure]]:
            provider = provider_of(name, chat)
            client = open_client(provider, timeout_s=30)
            outcomes: dict[str, list[ChatAnswer | ChatFailure]] = {user: [] for user in PROMPTS}
            for user in PROMPTS * 2:
                try:
                    outcomes[user].append(await client.ask(question(user=user)))
                except ChatFailure as failure:
                    outcomes[user].append(failure)
            await client.close()
            return outcomes

        return asyncio.run(ask_all())


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_the_script_mixed_does_to_each_prompt_what_its_kind_says(name: str):
    causes = {
        "limit_once": FailureCause.RATE_LIMIT,
        "error_once": FailureCause.SERVER,
        "overload_once": FailureCause.SERVER,
        "close_once": FailureCause.CONNECTION,
    }
    for user, (first, second) in _outcomes(name).items():
        kind = mixed_kind(user)
        assert isinstance(second, ChatAnswer)
        if kind in MIXED_FAILED:
            assert (second.refusal is not None, second.is_cut) == (kind == "refuse", kind == "truncate")
        else:
            assert read_answer(second.text) == read_answer(label_answer(user))
        if kind in causes:
            assert isinstance(first, ChatFailure)
            assert first.cause == causes[kind]
        else:
            assert isinstance(first, ChatAnswer)
            assert first.text == second.text


def test_every_kind_is_in_the_mixture():
    assert set(Counter(map(mixed_kind, PROMPTS))) == {*MIXED_ANSWERED, *MIXED_FAILED}


def test_a_repair_that_goes_on_from_the_question_meets_the_same_kind():
    user = next(user for user in PROMPTS if mixed_kind(user) == "broken")
    with running_chat_server(answer_mixed) as chat:
        provider = provider_of("openai", chat)
        asyncio.run(ask_once(provider, question(user=user), 30))
        repaired = asyncio.run(ask_once(provider, question(user=f"{user}\n\nThat was no JSON."), 30))
        assert isinstance(repaired, ChatAnswer)
        assert repaired.text == label_answer(user)[:-20]
        assert [request.root for request in chat.requests] == [user, user]


def test_tokens_are_counted_with_a_real_tokenizer(tmp_path: Path):
    count_tokens = counting_with(byte_level(tmp_path / "tokenizer"))
    with running_chat_server(lambda _: Answer("courts of law"), count_tokens=count_tokens) as chat:
        answer = asyncio.run(ask_once(provider_of("openai", chat), question(), 30))
    assert isinstance(answer, ChatAnswer)
    n_in = count_tokens(question().system) + count_tokens(question().user)
    assert (answer.n_tokens_in, answer.n_tokens_out) == (n_in, count_tokens("courts of law"))


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        ("/v2/chat/completions", '{"model": "m", "messages": [{"role": "user", "content": "x"}]}', 404),
        ("/v1/chat/completions", '{"model": "m"', 400),
        ("/v1/chat/completions", '{"model": "m", "messages": []}', 400),
        ("/v1/messages", '{"model": "m", "messages": [{"role": "user", "content": "x"}]}', 400),
    ],
)
def test_what_is_no_question_is_refused_and_not_recorded(path: str, content: str, code: int):
    with running_chat_server(answer_label) as chat:
        with pytest.raises(HTTPError) as caught:
            urlopen(chat.url + path, data=content.encode(), timeout=30)
        caught.value.close()
        assert (caught.value.code, chat.requests) == (code, ())


def test_the_models_are_listed_as_openai_lists_them():
    with running_chat_server(answer_label) as chat, urlopen(f"{chat.openai_url}/models", timeout=30) as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == ["scripted"]
        assert chat.requests == ()


def test_the_process_logs_each_request_as_it_arrives_and_a_kill_loses_no_line(tmp_path: Path):
    log = tmp_path / "requests.jsonl"
    command = [sys.executable, "-m", "featlas.testing.scripted_chat", "--script", "label", "--log", str(log)]
    with subprocess.Popen([*command, "--delay", "0.05"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        provider = Provider("compatible", f"{url}/v1", None)
        answers = [asyncio.run(ask_once(provider, question(user=user), 30)) for user in ("one", "two", "one")]
        server.send_signal(signal.SIGKILL)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["user"] for line in lines] == ["one", "two", "one"]
    assert [(line["n"], line["n_same"], line["protocol"]) for line in lines] == [
        (0, 0, "openai"),
        (1, 0, "openai"),
        (2, 1, "openai"),
    ]
    assert lines[0]["arrived_s"] < lines[1]["arrived_s"]
    assert [answer.text for answer in answers if isinstance(answer, ChatAnswer)] == [
        label_answer(user) for user in ("one", "two", "one")
    ]
    assert all(answer.wall_s >= 0.05 for answer in answers if isinstance(answer, ChatAnswer))
