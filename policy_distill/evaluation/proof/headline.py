"""What is read first of a proof, and by what students are ranked: the same in every table, page and dashboard.

In: the content of an `evaluation.json`, of any version. Out: a `Headline`. The mean retention stands first, with its
lower bound, the falls and the verdict; the interquartile mean, which leaves out rare falls, second. Students are ranked
by the episodes that chose them: whoever ranks by the proof's own picks luck, and what was proven is then too high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy_distill.evaluation.proof.falls import fall_line
from policy_distill.system.wording import digits

ORDER = {"inferior": 0, "undecided": 1, "non-inferior": 2}
"""Of verdicts, for proofs from before selection figures were kept."""

UNDEFINED = "undefined: the teacher's returns are not clearly above random's"


@dataclass(frozen=True)
class Headline:
    """A proof at a glance; None is what is undefined, was not measured, or was not kept by an earlier version."""

    mean: float | None
    """Share of the teacher's gain over random that is kept, by mean returns."""
    low: float | None
    """Its lower 95% confidence bound."""
    iqm: float | None
    """The same share by interquartile means."""
    outcome: str | None
    """Of the verdict."""
    margin_return: float | None
    """The verdict's margin in units of the return."""
    falls: str | None
    """The line on the student's falls."""
    teacher_falls: str | None
    """The line on the teacher's."""
    chosen_by: float | None
    """Share of the gain that was kept on the episodes which chose the student."""

    @property
    def undefined(self) -> bool:
        """True where there was a proof and nothing to keep."""
        return self.outcome == "undefined"

    def text(self, digits: int = 3) -> str:
        """Return the mean with its bound."""
        if self.mean is None:
            return UNDEFINED if self.undefined else "not measured"
        bound = "" if self.low is None else f", at least {self.low:.{digits}f} (95%)"
        return f"{self.mean:.{digits}f}{bound}"


def headline(evaluation: Mapping[str, Any]) -> Headline:
    """Return what is read first of the content of an `evaluation.json`, or of a comparison."""
    kept = evaluation.get("retention") or {}
    verdict = kept.get("verdict") or {}
    falls = evaluation.get("falls") or {}
    outcome = verdict.get("outcome")
    # Earlier versions gave numbers there too; a ratio to a gain that is not there ranks nowhere.
    share = {} if outcome == "undefined" else kept
    chosen = {} if outcome == "undefined" else evaluation.get("selection") or {}
    return Headline(
        mean=share.get("mean"),
        low=share.get("mean_low"),
        iqm=share.get("iqm"),
        outcome=outcome,
        margin_return=verdict.get("margin_return"),
        # Half of a gain that is not there is no line to fall below.
        falls=None if outcome == "undefined" else _falls(falls.get("student")),
        teacher_falls=None if outcome == "undefined" else _falls(falls.get("teacher")),
        chosen_by=chosen.get("retention"),
    )


def retention_metrics(kept: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the metrics of a retention's record, of the mean; those of an undefined one are None."""
    undefined = (kept.get("verdict") or {}).get("outcome") == "undefined"
    known = {} if undefined else kept
    return {
        "eval/retention": known.get("mean"),
        "eval/retention_low": known.get("mean_low"),
        "eval/retention_high": known.get("mean_ci95", [None])[-1],
    }


def fall_metrics(record: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the metrics of the student's falls; None where there is no gain of which half could be lost."""
    undefined = ((record.get("retention") or {}).get("verdict") or {}).get("outcome") == "undefined"
    falls = {} if undefined else (record.get("falls") or {}).get("student") or {}
    return {"eval/fall_rate": falls.get("rate"), "eval/fall_rate_high": falls.get("rate_high")}


def ranks(found: Sequence[Headline]) -> list[tuple[float, ...] | None]:
    """Return by what students are compared, the higher the better; None for one that ranks nowhere.

    The share kept on the selection's episodes, where all that rank have one. Where nothing was kept of a selection it
    is the proof: its verdict, then its bound, then its mean.
    """
    ranked = [one for one in found if one.mean is not None]
    if all(one.chosen_by is not None for one in ranked):
        return [None if one.mean is None or one.chosen_by is None else (one.chosen_by,) for one in found]
    return [None if one.mean is None else _proven(one) for one in found]


def verdict_words(verdict: Mapping[str, Any]) -> str:
    """Return what a verdict says, from its JSON values of any version."""
    margin, outcome = f"{verdict['margin']:.0%} of its gain", verdict["outcome"]
    if verdict.get("margin_return") is not None:
        margin += f", {digits(verdict['margin_return'])} of the return"
    words = {
        "non-inferior": f"as good as the teacher up to {margin} (one-sided, {verdict['alpha']:.0%})",
        "inferior": f"worse than the teacher by more than {margin} (one-sided, {verdict['alpha']:.0%})",
        "undecided": f"not clear at a margin of {margin}",
        "undefined": "the teacher's mean return is not clearly above random's",
    }
    looks = f" in {verdict['n_looks']} looks" if verdict.get("n_looks", 1) > 1 else ""
    said = words.get(outcome, "unknown to this version")
    return f"{outcome}: {said}, {verdict['n_episodes']} episodes{looks}"


def assumption_words(verdict: Mapping[str, Any], first_seed: int | None = None) -> str:
    """Return what no episode may lose, and which one did; nothing for a verdict that assumes no such thing.

    `inferior` rests on the opposite, that no episode wins as much, whatever one loses.

    Args:
        verdict: its JSON values, of any version.
        first_seed: where the proof's episodes began.
    """
    floor, beyond = verdict.get("floor"), verdict.get("beyond")
    if floor is None or verdict["outcome"] == "undefined":
        return ""
    if verdict["outcome"] == "inferior":
        return f"no episode wins more than {floor:.2f} gains against the teacher's"
    if beyond:
        which = f"episode {beyond['episode']}" + (
            "" if first_seed is None else f" (seed {first_seed + beyond['episode']})"
        )
        return (
            f"{which} lost {beyond['loss']:.2f} gains, more than the {floor:.2f} that were assumed at most; "
            "compare on fresh episodes with what one may lose declared, such as --worst-loss "
            f"{1.5 * beyond['loss']:.2g}"
        )
    why = "as declared" if verdict.get("declared") else "a tenth more than the worst random one"
    return f"no episode loses more than {floor:.2f} gains ({why})"


def _proven(one: Headline) -> tuple[float, ...]:
    low = one.mean if one.low is None else one.low
    return (ORDER.get(one.outcome or "", 1), low or 0.0, one.mean or 0.0)


def _falls(record: Mapping[str, Any] | None) -> str | None:
    if not record or None in (values := [record.get(name) for name in ("n", "n_episodes", "rate_high")]):
        return None
    n, n_episodes, high = values
    return fall_line(int(n or 0), int(n_episodes or 0), float(high or 0.0))
