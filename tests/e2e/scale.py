"""A store with as many features as the largest SAEs have, asked over HTTP, and what each answer takes."""

import http.client
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import psycopg
from tests.builders.wide_run import WideRun, build_wide_run
from tests.e2e.command import Featlas
from tests.e2e.serving import serving

from featlas.store.paging import Cursor
from featlas.store.session import Store

PAGE = 50
FILTERS = {
    "everything": "",
    "alive": "-is:dead",
    "labeled_range": "is:labeled density:1e-6..1e-3",
    "conjunction": "max_activation:>5 -is:dense mean_activation:>2 n_fires:>=10",
    "category": 'category:"Language > Syntax" -is:dead',
    "alternatives": "(max_activation:>30 OR is:dense) -is:duplicate",
}
SORTS = ("activation_frequency", "max_activation", "n_fires", "feature_index")
SEARCHES = {
    "common_word": "court",
    "rare_word": "evidence",
    "two_letters": "qu",
    "every_label": "alike",
    "token": 'token:" court"',
}
"""Queries by what they look for; two letters are too short for a trigram, and every label ends in that word."""
SNAPSHOT_TABLES = ("features", "feature_activations", "feature_tokens", "feature_columns")


@dataclass(frozen=True)
class Size:
    """How much there is: all features have statistics, tokens and labels, the first ones examples too."""

    n_features: int
    n_with_examples: int
    n_contexts: int


class Asker:
    """One connection to the server, over which one question follows the other; close it at the end."""

    def __init__(self, url: str, sae: str) -> None:
        at = urlsplit(url)
        self._connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=600)
        self._sae = sae

    def ask(self, path: str, **options: object) -> tuple[float, dict[str, Any]]:
        """The seconds until the whole answer was there, and the answer."""
        query = "&".join(f"{name}={quote(str(value))}" for name, value in options.items())
        began = time.perf_counter()
        self._connection.request("GET", f"/api/v1/saes/{self._sae}/{path}?{query}")
        answer = self._connection.getresponse()
        content = answer.read()
        took = time.perf_counter() - began
        assert answer.status == 200, content[:500]
        return took, json.loads(content)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def median_s(self, n_times: int, path: str, **options: object) -> float:
        """The median of asking the same several times."""
        return statistics.median(self.ask(path, **options)[0] for _ in range(n_times))


def build_scale(url: str, size: Size) -> WideRun:
    """A store of that size, written as a run and a labeling write it."""
    store = Store.open(url)
    try:
        return build_wide_run(
            store,
            size.n_features,
            n_contexts=size.n_contexts,
            n_with_examples=size.n_with_examples,
            labels_all=True,
            name="scale",
        )
    finally:
        store.close()


def measure_answers(
    home: Path, url: str, wide: WideRun, size: Size, n_times: int, sorts: Sequence[str] = SORTS
) -> dict[str, float]:
    """Milliseconds of the slowest page of any filter in any order, of features with examples, and of searches."""
    with (
        serving(Featlas(home, env={"FEATLAS_DATABASE_URL": url})) as server,
        closing(Asker(server.url, wide.sae)) as asker,
    ):
        first_s, answer = asker.ask("features", limit=PAGE)
        assert answer["n_matches"] == size.n_features
        figures = {"first_question_ms": first_s}
        figures |= _measure_pages(asker, sorts, n_times)
        chosen = np.random.default_rng(0).integers(0, size.n_with_examples, 10 * n_times).tolist()
        of_features = [asker.ask(f"features/{index}")[0] for index in chosen]
        figures["feature_ms"] = statistics.median(of_features)
        figures["feature_p95_ms"] = float(np.percentile(of_features, 95))
        for name, word in SEARCHES.items():
            figures[f"search_{name}_ms"] = asker.median_s(n_times, "features", q=word, limit=PAGE)
    return {name: round(seconds * 1000, 1) for name, seconds in figures.items()}


def _measure_pages(asker: Asker, sorts: Sequence[str], n_times: int) -> dict[str, float]:
    first, last = dict[str, float](), dict[str, float]()
    for name, text in FILTERS.items():
        for there, back in ((f"-{sort}", sort) for sort in sorts):
            for order, opposite in ((there, back), (back, there)):
                options = {"q": text, "limit": PAGE, "sort": order}
                first[f"{name} {order}"] = asker.median_s(n_times, "features", **options)
                mark = _mark_before_last(asker, text, order, opposite)
                if mark is not None:
                    last[f"{name} {order}"] = asker.median_s(n_times, "features", after=mark, **options)
    slowest = {
        f"slowest_{which}": max(found, key=found.__getitem__) for which, found in (("first", first), ("last", last))
    }
    print(slowest)
    return {
        "first_page_slowest_ms": max(first.values()),
        "first_page_median_ms": statistics.median(first.values()),
        "last_page_slowest_ms": max(last.values()),
        "last_page_median_ms": statistics.median(last.values()),
    }


def measure_bare_copy(url: str, snapshot_id: int) -> tuple[float, int]:
    """The seconds that PostgreSQL takes for COPY of a snapshot's rows into tables without keys, and their bytes."""
    seconds, n_bytes = 0.0, 0
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for table in SNAPSHOT_TABLES:
            chosen = f"(SELECT * FROM {table} WHERE snapshot_id = {int(snapshot_id)})"
            with cursor.copy(f"COPY {chosen} TO STDOUT".encode()) as copy:
                content = [bytes(block) for block in copy]
            cursor.execute(f"CREATE TABLE bare_{table} (LIKE {table})".encode())
            connection.commit()
            began = time.perf_counter()
            with cursor.copy(f"COPY bare_{table} FROM STDIN".encode()) as copy:
                for block in content:
                    copy.write(block)
            connection.commit()
            seconds += time.perf_counter() - began
            n_bytes += sum(map(len, content))
            cursor.execute(f"DROP TABLE bare_{table}".encode())
            connection.commit()
    return seconds, n_bytes


def _mark_before_last(asker: Asker, text: str, order: str, opposite: str) -> str | None:
    """The mark after which the last page comes: where the first page of the opposite order ends."""
    _, first = asker.ask("features", q=text, limit=PAGE, sort=order)
    _, turned = asker.ask("features", q=text, limit=PAGE, sort=opposite)
    if first["next"] is None or turned["next"] is None:
        return None
    end = Cursor.parse(turned["next"])
    return Cursor(Cursor.parse(first["next"]).sort, end.values, end.feature_index).encode()
