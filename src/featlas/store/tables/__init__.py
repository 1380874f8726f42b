"""Every table of the store, in one namespace, so that importing it registers them all."""

from featlas.store.tables.access import AccessTokenRow
from featlas.store.tables.correlations import CorrelationRow, FeaturePartnersRow
from featlas.store.tables.directions import FeatureLogitsRow, FeatureNeighboursRow, SaeDirectionsRow, SaeMapRow
from featlas.store.tables.facts import (
    ContextRow,
    FeatureActivationsRow,
    FeatureColumnRow,
    FeatureRow,
    FeatureTokenRow,
    RunRow,
    SnapshotRow,
)
from featlas.store.tables.inputs import CorpusRow, DocumentRow, ModelRow, SaeRow, TokenizerRow
from featlas.store.tables.opinions import FeatureStateRow, LabelRow, ReviewActionRow, ScoreRow, fold, label_search_text
from featlas.store.tables.templates import (
    ExtractionTemplateRow,
    LlmResponseRow,
    PromptTemplateRow,
    PromptTemplateVersionRow,
)
from featlas.store.tables.types import Row, UtcDateTime, utc_now
from featlas.store.tables.work import JobEventRow, JobRow, JobShardRow, WorkerRow

__all__ = [
    "AccessTokenRow",
    "ContextRow",
    "CorpusRow",
    "CorrelationRow",
    "DocumentRow",
    "ExtractionTemplateRow",
    "FeatureActivationsRow",
    "FeatureColumnRow",
    "FeatureLogitsRow",
    "FeatureNeighboursRow",
    "FeaturePartnersRow",
    "FeatureRow",
    "FeatureStateRow",
    "FeatureTokenRow",
    "JobEventRow",
    "JobRow",
    "JobShardRow",
    "LabelRow",
    "LlmResponseRow",
    "ModelRow",
    "PromptTemplateRow",
    "PromptTemplateVersionRow",
    "ReviewActionRow",
    "Row",
    "RunRow",
    "SaeDirectionsRow",
    "SaeMapRow",
    "SaeRow",
    "ScoreRow",
    "SnapshotRow",
    "TokenizerRow",
    "UtcDateTime",
    "WorkerRow",
    "fold",
    "label_search_text",
    "utc_now",
]
