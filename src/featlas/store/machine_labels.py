"""Labels as a job gives them, many at a time, each transaction guarded by the job's lease."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.domain import FailureCause, LabelSource, LabelStatus, ReviewState
from featlas.store.bulk import Guard, Pace, insert_rows, no_guard, write_paced
from featlas.store.label_state import begin_change, settle, sources_of_labeler
from featlas.store.plain import plain_text, to_json_text
from featlas.store.responses import Response, save_responses
from featlas.store.session import Store
from featlas.store.tables import LabelRow, utc_now
from featlas.store.uids import new_uid


@dataclass(frozen=True)
class Asked:
    """How a language model was asked for a label, and what that took; nothing where the answer was known before.

    `response_key` names the kept answer, None where there is none (a failure).
    """

    template_version_id: int
    response_key: str | None
    n_tokens_in: int | None
    n_tokens_out: int | None
    cost_micro_usd: int | None
    wall_s: float | None


@dataclass(frozen=True)
class MachineLabel:
    """What a labeler answered for one feature; an abstention has no texts but an explanation.

    `evidence_hash` covers everything that the answer follows from: the same hash is the same answer. `lint` names what
    speaks against the text: a label with lint is not in force until a person accepts it. A failure has a cause, and its
    explanation says what happened. `asked` is there where a language model was asked.
    """

    feature_index: int
    status: LabelStatus
    source: LabelSource
    provider: str
    semantic_label: str | None
    category_label: str | None
    explanation: str
    evidence_hash: str
    evidence: Mapping[str, Any]
    lint: tuple[str, ...] = ()
    model: str | None = None
    confidence: float | None = None
    failure_cause: FailureCause | None = None
    asked: Asked | None = None


@dataclass(frozen=True)
class LabelingOrigin:
    """Which SAE is labeled, from which run's evidence, by which job."""

    sae_id: int
    run_id: int
    job_id: int | None


class MachineLabelWriter:
    """Adds the answers of a labeler and puts them in force where nothing better stands."""

    def __init__(self, store: Store, origin: LabelingOrigin, guard: Guard = no_guard) -> None:
        self._store = store
        self._origin = origin
        self._guard = guard
        self._pace = Pace(first=256, most=2048)

    def add(self, labels: Sequence[MachineLabel], responses: Sequence[Response] = ()) -> int:
        """Add these labels, at most one per feature, in transactions of well under a second; returns how many are new.

        Where the newest answer of the same labeler rests on the same evidence nothing is added; failures are no
        answers. `responses` are kept before the first label is.
        """
        n_added = 0
        waiting = list(responses)
        for chunk in self._pace.chunks(len(labels)):
            part = [labels[at] for at in chunk]
            added: list[int] = []

            def write(session: Session, part: list[MachineLabel] = part, added: list[int] = added) -> None:
                save_responses(session, waiting)
                added.append(self._write(session, part))

            write_paced(self._store, self._guard, self._pace, len(part), write)
            n_added += added[-1]
            waiting.clear()
        return n_added

    def flag_repeated(self, texts: Sequence[str], code: str) -> None:
        """Add a lint code to this job's labels with one of these texts, and settle their features anew."""
        if not texts or self._origin.job_id is None:
            return
        of_job = (LabelRow.labeling_job_id == self._origin.job_id, LabelRow.semantic_label.in_(map(plain_text, texts)))
        with self._store.read() as session:
            rows = session.execute(select(LabelRow.id, LabelRow.lint).where(*of_job).order_by(LabelRow.id)).all()
        ids = [row.id for row in rows if code not in row.lint]
        for chunk in self._pace.chunks(len(ids)):
            part = ids[chunk.start : chunk.stop]

            def write(session: Session, part: list[int] = part) -> None:
                self._flag(session, part, code)

            write_paced(self._store, self._guard, self._pace, len(part), write)

    def _flag(self, session: Session, ids: list[int], code: str) -> None:
        rev = begin_change(session, self._origin.sae_id)
        rows = list(session.scalars(select(LabelRow).where(LabelRow.id.in_(ids))))
        features = [row.feature_index for row in rows]
        for row in rows:
            row.lint = [*row.lint, code]
        session.flush()
        settle(session, self._origin.sae_id, features, rev)

    def _write(self, session: Session, labels: list[MachineLabel]) -> int:
        rev = begin_change(session, self._origin.sae_id)
        known = _read_newest(session, self._origin.sae_id, [label.feature_index for label in labels])
        new = [
            label
            for label in labels
            if label.status is LabelStatus.FAILED
            or known.get((label.feature_index, label.source)) != label.evidence_hash
        ]
        if new:
            rows = [self._row(label) for label in new]
            insert_rows(session, LabelRow, tuple(rows[0]), [tuple(row.values()) for row in rows])
            settle(session, self._origin.sae_id, [label.feature_index for label in new], rev)
        return len(new)

    def _row(self, label: MachineLabel) -> dict[str, Any]:
        asked = label.asked
        return {
            "uid": new_uid(),
            "sae_id": self._origin.sae_id,
            "feature_index": label.feature_index,
            "evidence_run_id": self._origin.run_id,
            "labeling_job_id": self._origin.job_id,
            "semantic_label": label.semantic_label and plain_text(label.semantic_label),
            "category_label": label.category_label and plain_text(label.category_label),
            "explanation": plain_text(label.explanation),
            "confidence": label.confidence,
            "status": label.status.value,
            "source": label.source.value,
            "provider": label.provider,
            "model": label.model,
            "evidence_hash": label.evidence_hash,
            "evidence": to_json_text(label.evidence),
            "review_state": ReviewState.UNREVIEWED.value,
            "lint": to_json_text(label.lint),
            "failure_cause": label.failure_cause and label.failure_cause.value,
            **(vars(asked) if asked is not None else dict.fromkeys(Asked.__dataclass_fields__)),
            "created_at": utc_now(),
        }


def _read_newest(session: Session, sae_id: int, features: Sequence[int]) -> dict[tuple[int, LabelSource], str | None]:
    """The evidence of the newest answer by feature and source; what a person brought back is no answer."""
    columns = (
        LabelRow.id,
        LabelRow.feature_index,
        LabelRow.source,
        LabelRow.evidence_hash,
        LabelRow.restored_from,
        LabelRow.status,
    )
    # By their features alone, and put in order here: asked for more, SQLite reads all labels by another index.
    of_features = (LabelRow.sae_id == sae_id, LabelRow.feature_index.in_(features))
    rows = session.execute(select(*columns).where(*of_features)).all()
    return {
        (row.feature_index, same): row.evidence_hash
        for row in sorted(rows, key=lambda row: row.id)
        if row.restored_from is None and row.status is not LabelStatus.FAILED
        for same in sources_of_labeler(row.source)
    }
