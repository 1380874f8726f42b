"""Where a command works: settings, store and runner, opened once and closed at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from featlas.entry.worker import load_settings
from featlas.settings import Settings
from featlas.store.session import Store
from featlas.worker.local import LocalRunner


@dataclass(frozen=True)
class Surroundings:
    """The settings in force and the open store."""

    settings: Settings
    store: Store

    def runner(self) -> LocalRunner:
        """Runs jobs of this store in processes of their own."""
        return LocalRunner(self.store, self.settings.logs_path)


@contextmanager
def opened() -> Iterator[Surroundings]:
    """Settings and store for the length of a command."""
    settings = load_settings()
    store = Store.open(settings.store_url)
    try:
        yield Surroundings(settings, store)
    finally:
        store.close()
