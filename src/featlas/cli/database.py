"""The commands for the database: its schema, copies and backups."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from featlas.cli.terminal import result_console
from featlas.entry.worker import load_settings
from featlas.errors import ConflictError
from featlas.store.backup import back_up
from featlas.store.copying import Copy, copy_store
from featlas.store.migrations import KNOWN_REVISIONS
from featlas.store.upgrade import StoreCheck, check, upgrade


def upgrade_database() -> int:
    """Bring the schema to this version's."""
    before = upgrade(load_settings().store_url)
    print("the database is at this version's schema" + (f" (it was at revision {before})" if before else ""))
    return 0


def _difference(found: StoreCheck) -> str:
    """What is not as it should be, and what to do."""
    at = f"the database {found.url} is at revision {found.revision or 'none'}, this version's is {found.head}"
    if found.revision not in (None, *KNOWN_REVISIONS):
        return f"{at}; upgrade featlas"
    drift = f"; its tables differ: {', '.join(found.drift)}" if found.drift else ""
    return f"{at}{drift}; run `featlas db upgrade`"


def check_database(*, as_json: bool) -> int:
    """Compare the schema with this version's."""
    found = check(load_settings().store_url)
    if as_json:
        print(json.dumps(vars(found) | {"is_current": found.is_current}, default=list))
    elif found.is_current:
        print("the database has this version's schema")
    if not found.is_current and not as_json:
        raise ConflictError(_difference(found))
    return 0 if found.is_current else ConflictError.exit_code


def copy_database(source: str, target: str, *, as_json: bool) -> int:
    """Copy a store into an empty database and tell what arrived."""
    return _print_copy(copy_store(source, target), as_json=as_json)


def back_up_database(file: str, *, as_json: bool) -> int:
    """Copy the store in force into a new file."""
    return _print_copy(back_up(load_settings().store_url, Path(file).absolute()), as_json=as_json)


def _print_copy(copy: Copy, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(asdict(copy) | {"n_rows": copy.n_rows}))
        return 0
    table = Table("table", "rows", "seconds", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in copy.tables:
        table.add_row(one.name, f"{one.n_rows:,}", f"{one.seconds:.1f}")
    console = result_console()
    console.print(table)
    console.print(f"{copy.n_rows:,} rows of {copy.source} are in {copy.target}; all were compared", soft_wrap=True)
    console.print("not copied: the folders of runs (FEATLAS_HOME/artifacts); they are named by path below FEATLAS_HOME")
    return 0
