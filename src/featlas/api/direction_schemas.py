"""What the API answers about an SAE's directions, as models."""

from pydantic import Field

from featlas.api.schemas import Answer, LabelBrief
from featlas.domain import DirectionKind


class DirectionToken(Answer):
    """A token, and what the feature's direction does to it."""

    token_id: int
    token: str
    effect: float = Field(
        description="What one unit of the direction adds to the logit, times what the final norm divides by."
    )


class FeatureLogits(Answer):
    """The tokens that a feature promotes and suppresses, by its decoder direction and the model's unembedding alone."""

    feature_index: int
    reason: str | None = Field(description="Why there are none; null where there are.")
    promoted: list[DirectionToken] | None = Field(description="Largest effect first.")
    suppressed: list[DirectionToken] | None = Field(description="Smallest effect first.")


class NearFeature(Answer):
    """A feature whose direction is near another's, with what is known of it."""

    feature_index: int
    cosine: float
    is_near_duplicate: bool = Field(description="Whether it points the same way: a cosine of 0.99 or more.")
    label: LabelBrief | None
    flags: list[str]


class FeatureNeighbours(Answer):
    """The features whose directions are nearest to a feature's, by cosine."""

    feature_index: int
    kind: DirectionKind
    reason: str | None = Field(description="Why there are none; null where there are.")
    items: list[NearFeature] | None = Field(description="Largest cosine first.")
