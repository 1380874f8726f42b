"""Where a command works: settings, store and runner, opened once and closed at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from featlas.entry.worker import load_settings, make_doorbell
from featlas.settings import Settings
from featlas.store.session import Store
from featlas.worker.local import LocalRunner
from featlas.worker.rounds import Team


@dataclass(frozen=True)
class Surroundings:
    """The settings in force and the open store."""

    settings: Settings
    store: Store

    def runner(self) -> LocalRunner:
        """Runs jobs of this store in processes of their own."""
        return LocalRunner(self.store, self.settings.logs_path)

    def team(self) -> Team | None:
        """Those who do the jobs of this store elsewhere; None where they are done on this machine."""
        if not self.settings.broker_url:
            return None
        return Team(self.store, make_doorbell(self.settings), self.settings.lease_s)


@contextmanager
def opened() -> Iterator[Surroundings]:
    """Settings and store for the length of a command."""
    settings = load_settings()
    store = Store.open(settings.store_url)
    try:
        yield Surroundings(settings, store)
    finally:
        store.close()
