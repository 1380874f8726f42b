"""The tree of categories in use: what a list counts by, and what a half-typed category can become."""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from featlas.store.tables import FeatureStateRow


def category_tree(counts: Iterable[tuple[str, int]]) -> dict[tuple[str, ...], int]:
    """Features at or below each step of the tree, by path, from how many have exactly each category label."""
    tree: Counter[tuple[str, ...]] = Counter()
    for label, n in counts:
        steps = tuple(step.strip() for step in label.split(">"))
        for depth in range(len(steps) if n else 0):
            tree[steps[: depth + 1]] += n
    return dict(sorted(tree.items()))


def list_categories(session: Session, sae_id: int, prefix: str = "", *, limit: int = 100) -> dict[tuple[str, ...], int]:
    """Steps of the tree of an SAE's labels in force whose path begins so, case folded; the commonest first.

    After a last ">" only what is below that step is found.
    """
    category = FeatureStateRow.category_label
    counts = (
        select(category, func.count())
        .where(FeatureStateRow.sae_id == sae_id, category.is_not(None), category != "")
        .group_by(category)
    )
    wanted = _as_text(step.strip() for step in prefix.split(">"))
    tree = category_tree((label, n) for label, n in session.execute(counts) if label)
    found = [(path, n) for path, n in tree.items() if _as_text(path).startswith(wanted)]
    return dict(sorted(found, key=lambda item: -item[1])[:limit])


def _as_text(steps: Iterable[str]) -> str:
    return " > ".join(steps).casefold()
