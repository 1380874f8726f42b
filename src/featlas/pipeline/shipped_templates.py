"""Puts the prompt templates that come with Featlas into a store, where they are used and edited like any other."""

from featlas.explain.templates import load_shipped
from featlas.store.prompt_templates import sync_shipped
from featlas.store.session import Store


def add_shipped_templates(store: Store) -> list[str]:
    """Add what is missing and bring up to date what nobody edited; the names that changed. Safe to repeat."""
    return sync_shipped(store, load_shipped())
