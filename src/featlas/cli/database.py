"""The commands for the database's schema."""

import json

from featlas.entry.worker import load_settings
from featlas.errors import ConflictError
from featlas.store.upgrade import check, upgrade


def upgrade_database() -> int:
    """Bring the schema to this version's."""
    before = upgrade(load_settings().store_url)
    print("the database is at this version's schema" + (f" (it was at revision {before})" if before else ""))
    return 0


def check_database(*, as_json: bool) -> int:
    """Compare the schema with this version's."""
    found = check(load_settings().store_url)
    if as_json:
        print(json.dumps(vars(found) | {"is_current": found.is_current}, default=list))
    elif found.is_current:
        print("the database has this version's schema")
    if not found.is_current and not as_json:
        raise ConflictError(f"the database's schema differs: {found}; run `featlas db upgrade`")
    return 0 if found.is_current else ConflictError.exit_code
