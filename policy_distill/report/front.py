"""The front of a compression as rows of text, the same on a page and on a terminal.

In: `compression.json`. Out: a row for each student on the front, and the verdict in words.
"""

from __future__ import annotations

from policy_distill.evaluation.parts.front_record import CompressionRecord, DroppedRecord, FrontRecord
from policy_distill.evaluation.proof.headline import headline
from policy_distill.report.conditions.perturbed import falls_text

HEADER = ("student", "parameters", "bytes", "MACs", "retention, mean", "falls", "verdict")
DROPPED_HEADER = ("student", "parameters", "steps", "kept so far", "why")


def front_rows(record: CompressionRecord) -> list[tuple[str, ...]]:
    """Return a row for each student on the front, the cheapest first."""
    return [_row(point, record) for point in record.front or ()]


def beaten_rows(record: CompressionRecord) -> list[tuple[str, ...]]:
    """Return a row for each student that was judged, and that one on the front beats."""
    return [_row(point, record) for point in record.beaten or ()]


def dropped_rows(record: CompressionRecord) -> list[tuple[str, ...]]:
    """Return a row for each network that was left behind."""
    return [_dropped(one) for one in record.dropped or ()]


def kept_text(point: FrontRecord) -> str:
    """Return what a student keeps with its bound; of an untested one what it kept where it was chosen."""
    chosen = point.chosen_by
    if point.tested:
        return headline(point).text()
    if chosen is None or chosen.share is None:
        return "not measured"
    error = "" if chosen.error is None else f" ± {chosen.error:.3f}"
    return f"{chosen.share:.3f}{error} in {chosen.n_episodes or 0} episodes, no proof"


def standing_words(record: CompressionRecord) -> str:
    """Return what is claimed of the winner."""
    bar = "" if record.bar is None else f" {record.bar:.1%} of the teacher's gain"
    if record.proven:
        return f"proven to keep{bar}"
    return f"not proven to keep{bar} ({record.verdict})"


def _row(point: FrontRecord, record: CompressionRecord) -> tuple[str, ...]:
    numbers = (f"{x:,}" if x is not None else "" for x in (point.n_params, point.n_bytes, point.macs))
    falls = falls_text(point.falls.student if point.falls else None)
    mark = " (winner)" if record.proven and point.spec == record.winner else ""
    name = f"{point.spec or ''}{f' (fine-tuned by {point.finetuned})' if point.finetuned else ''}"
    return (name, *numbers, kept_text(point), falls, point.standing + mark)


def _dropped(one: DroppedRecord) -> tuple[str, ...]:
    kept = "" if one.kept is None else f"{one.kept:.3f}"
    return (one.spec or "", f"{one.n_params or 0:,}", f"{one.env_steps or 0:,}", kept, one.why or "")
