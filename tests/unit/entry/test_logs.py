"""What is logged: one line per event, its parts, the job it belongs to, and never a secret."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from featlas.entry.logs import JsonLine, Line, level_of, secrets_of, start_logging
from featlas.settings import Settings
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.session import Store
from featlas.worker.job_words import working_on

KEY = "sk-canary0123456789"
PASSWORD = "s3cr3t/pass"
BEARER = "ftl_canary.token-0123"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("featlas.test")
    made.propagate = False
    made.setLevel(logging.DEBUG)
    yield made
    made.handlers.clear()


def _heard(logger: logging.Logger, formatter: logging.Formatter) -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return stream


def _fail(logger: logging.Logger, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("it failed: %s", text)


def test_a_line_of_text_has_time_level_logger_and_message(logger: logging.Logger):
    stream = _heard(logger, Line())
    logger.info("said %d", 3, extra={"fields": {"status": 200}})
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"{time} info featlas\.test: said 3 status=200\n", stream.getvalue())


def test_no_message_makes_a_line_of_its_own(logger: logging.Logger):
    stream = _heard(logger, Line())
    logger.warning("one\n2026-01-01T00:00:00.000Z error featlas.test: forged\r")
    assert stream.getvalue().count("\n") == 1


def test_json_is_one_object_per_line_with_the_traceback_in_a_field(logger: logging.Logger):
    stream = _heard(logger, JsonLine())
    _fail(logger, "two\nlines")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"]) == ("error", "featlas.test", "it failed: two\nlines")
    assert event["time"].endswith("Z")
    assert event["exception"].startswith("Traceback")
    assert "ValueError: two\nlines" in event["exception"]


def test_what_is_logged_while_a_job_runs_says_so(logger: logging.Logger, store: Store):
    job = jobs.enqueue(store, "extraction", ExtractSpec(model="m", sae="s", text=("t",)))
    stream = _heard(logger, JsonLine())
    with working_on(job):
        logger.info("inside")
    logger.info("outside")
    inside, outside = map(json.loads, stream.getvalue().splitlines())
    expected = {"job": job.id, "kind": "extraction", "attempt": 1, "queue": job.queue}
    assert {name: inside[name] for name in expected} == expected
    assert not expected.keys() & outside.keys()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "plain-canary-without-prefix")
    return Settings(
        home=tmp_path,
        database_url="postgresql://me:s3cr3t%2Fpass@db/featlas",
        broker_url="redis://:brokercanary@redis:6379/0",
    )


@pytest.mark.parametrize("kind", [Line, JsonLine])
@pytest.mark.parametrize(
    "text",
    [
        f"asked with {KEY}",
        "asked with plain-canary-without-prefix",
        f"could not connect with password {PASSWORD}",
        "postgresql+psycopg://me:s3cr3t%2Fpass@db/featlas failed",
        "redis://:brokercanary@redis:6379/0 is gone",
        "redis://other:unknowncanary@redis:6379/0 is gone",
        f"Authorization: Bearer {BEARER}",
        f"{{'authorization': 'Bearer {BEARER}', 'x-api-key': '{KEY}'}}",
        f"Bearer {BEARER}",
        "Cookie: featlas_session=sessioncanary; theme=dark",
        "set-cookie: featlas_session=sessioncanary; HttpOnly",
        "Incorrect API key provided: sk-proj-neverseencanary",
    ],
)
def test_no_secret_is_ever_logged(logger: logging.Logger, settings: Settings, kind: type[Line], text: str):
    stream = _heard(logger, kind(secrets_of(settings)))
    logger.warning("%s", text)
    logger.warning("in a field", extra={"fields": {"words": text}})
    _fail(logger, text)
    assert "***" in stream.getvalue()
    for secret in ("canary", PASSWORD, "s3cr3t%2Fpass"):
        assert secret not in stream.getvalue()


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ({}, "warning"),
        ({"log_format": "json"}, "info"),
        ({"log_level": "debug"}, "debug"),
        ({"log_format": "json", "log_level": "error"}, "error"),
    ],
)
def test_the_least_level_is_set_or_fits_the_format(tmp_path: Path, values: dict[str, str], level: str):
    assert level_of(Settings(home=tmp_path, **values)) == level  # pyright: ignore[reportArgumentType]


def test_libraries_are_heard_from_warnings_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    ours = logging.getLogger("featlas")
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    monkeypatch.setattr(ours, "level", ours.level)
    start_logging(Settings(home=tmp_path, log_format="json"))
    logging.getLogger("httpx").info("POST https://provider/with-a-secret")
    logging.getLogger("httpx").warning("slow")
    logging.getLogger("featlas.entry.web").info("ours")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [("httpx", "slow"), ("featlas.entry.web", "ours")]
    logging.captureWarnings(False)
    logging.root.manager._clear_cache()  # levels were looked up under what is undone now
