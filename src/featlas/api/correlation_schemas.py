"""The shapes of what the API says about features that go together."""

import datetime as dt

from pydantic import Field

from featlas.api.schemas import Answer, LabelBrief
from featlas.domain import Measure, NoMeasure, Unit


class Partner(Answer):
    """A feature that goes together with another, or avoids it."""

    feature_index: int
    value: float = Field(description="The measure; below 0 where the two avoid each other.")
    low: float = Field(description="The end of its 95 % interval that is nearer to 0; partners are ranked by it.")
    n_both: int = Field(description="Units at which both fire.")
    label: LabelBrief | None
    flags: list[str]


class Partners(Answer):
    """The partners of a feature by one measure, the surest first; those that avoid it follow at the end."""

    run: int
    feature_index: int
    measure: Measure
    unit: Unit
    n_units: int = Field(description="Tokens at counted positions, or contexts that hold one.")
    is_estimate: bool = Field(description="Whether blocks of the run were gone when this was computed.")
    share: float = Field(description="The share of the run's blocks that this rests on.")
    computed_at: dt.datetime
    reason: NoMeasure | None = Field(
        description="Why there is no such measure: the feature never fires, or never varies."
    )
    near_duplicate_of: int | None = Field(
        description="The lowest index of a feature before this one that is nearly the same, by Pearson correlation."
    )
    items: list[Partner]


class CorrelationMatrix(Answer):
    """How some features go together, each with each; null where there is no such measure."""

    run: int
    measure: Measure
    unit: Unit
    n_units: int
    is_estimate: bool
    share: float
    features: list[int]
    value: list[list[float | None]]
    n_both: list[list[int]] = Field(
        description="Units at which both fire; on the diagonal those of the feature itself."
    )
    reasons: list[NoMeasure | None] = Field(description="By feature, why there is no such measure.")
    among_both: list[list[float | None]] | None = Field(
        description="For spearman: among the units at which both fire, where those are five or more."
    )
