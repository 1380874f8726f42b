"""What is logged, and how: one line per event, for people or as JSON, and never a secret in it.

A module logs by `logging.getLogger(__name__)`; `extra={"fields": {…}}` adds fields. Only ours are heard below WARNING:
libraries write addresses, headers and whole requests there.
"""

import datetime as dt
import json
import logging
import os
import re
import sys
from collections.abc import Collection
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from featlas.settings import Settings
from featlas.worker.job_words import job_words

KEY_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "FEATLAS_COMPATIBLE_API_KEY")
HIDDEN = "***"
_LEAST_SECRET = 4  # characters; anything shorter would hide words
# Where a secret stands can be told by what is around it, also of one that we were never told.
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b((?:set-)?cookie|authorization|x-api-key)(['\"]?\s*[:=]\s*)[^\r\n]+"), rf"\1\2{HIDDEN}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\bsk-[\w-]{8,}"), HIDDEN),
)


class Line(logging.Formatter):
    """One line per event, `2026-01-31T12:00:00.000Z warning featlas.entry.web: the words job=3`; then a traceback."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__()
        self._secrets = sorted({s for s in secrets if len(s) >= _LEAST_SECRET}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """The event as text."""
        event = self.event_of(record)
        trace = event.pop("exception", "")
        time, level, name, message = (event.pop(key) for key in ("time", "level", "logger", "message"))
        words = "".join(f" {key}={value}" for key, value in event.items())
        # A line of a message could pass for an event of its own.
        line = f"{time} {level} {name}: {message}{words}".replace("\r", "\\r").replace("\n", "\\n")
        return f"{line}\n{trace}" if trace else line

    def event_of(self, record: logging.LogRecord) -> dict[str, Any]:
        """Its parts by name, without any secret."""
        time = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        event: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.without_secrets(record.getMessage()),
        }
        fields = {**job_words(), **getattr(record, "fields", {})}
        for key, value in fields.items():
            event[key] = self.without_secrets(value) if isinstance(value, str) else value
        if record.exc_info:
            event["exception"] = self.without_secrets(self.formatException(record.exc_info))
        return event

    def without_secrets(self, text: str) -> str:
        """The text with every known secret, and all that looks like one, taken out."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text


class JsonLine(Line):
    """The same as one JSON object per line, its traceback in the field `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The event as JSON."""
        return json.dumps(self.event_of(record), ensure_ascii=False, default=str)


def start_logging(settings: Settings) -> None:
    """Send what this process logs to stderr, as the settings want it."""
    formatter = (JsonLine if settings.log_format == "json" else Line)(secrets_of(settings))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.captureWarnings(True)  # else they are lines of another kind between ours
    logging.getLogger("featlas").setLevel(level_of(settings).upper())


def level_of(settings: Settings) -> Literal["debug", "info", "warning", "error"]:
    """The least level that is heard: people at a terminal want to hear of trouble, collectors of everything."""
    return settings.log_level or ("info" if settings.log_format == "json" else "warning")


def secrets_of(settings: Settings) -> set[str]:
    """What must never be in a log: the keys of providers, and the passwords in the settings' addresses."""
    urls = (settings.database_url, settings.broker_url, *settings.provider_urls.values())
    passwords = {_password(url) for url in urls}
    keys = {os.environ.get(name, "") for name in KEY_VARIABLES}
    return (keys | passwords | {unquote(password) for password in passwords}) - {""}


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
