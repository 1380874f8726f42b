"""The commands for the database's schema."""

import json

from featlas.entry.worker import load_settings
from featlas.errors import ConflictError
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
