"""A proof in words, the same in tables, pages and logs.

In: a verdict's record, of any version. Out: words, none where there is nothing to say.
"""

from __future__ import annotations

from policy_distill.evaluation.proof.records import VerdictRecord
from policy_distill.system.wording import digits

NEXT = {
    "inferior": "train for more steps (--timesteps), or give the student more room (a larger --student)",
    "undecided": "run more episodes: compare --until-certain, with a higher --max-episodes where that is not enough",
    "undefined": "see that the teacher is good in this environment, and that it is the one that it was trained in",
}
"""What to do about an outcome, where something is to be done."""

UNPAIRED = (
    "not paired: these environments begin their own episodes, so that policies were not measured on the same ones and "
    "intervals are wider"
)


def verdict_words(verdict: VerdictRecord) -> str:
    """Return what a verdict says; nothing for one that is not complete."""
    if verdict.margin is None or verdict.alpha is None or not verdict.complete:
        return ""
    margin, outcome = f"{verdict.margin:.0%} of its gain", str(verdict.outcome)
    if verdict.margin_return is not None:
        margin += f", {digits(verdict.margin_return)} of the return"
    words = {
        "non-inferior": f"as good as the teacher up to {margin} (one-sided, {verdict.alpha:.0%})",
        "inferior": f"worse than the teacher by more than {margin} (one-sided, {verdict.alpha:.0%})",
        "undecided": f"not clear at a margin of {margin}",
        "undefined": "the teacher's mean return is not clearly above random's",
    }
    looks = f" in {verdict.n_looks} looks" if (verdict.n_looks or 1) > 1 else ""
    said = words.get(outcome, "unknown to this version")
    return f"{outcome}: {said}, {verdict.n_episodes} episodes{looks}"


def assumption_words(verdict: VerdictRecord, first_seed: int | None = None) -> str:
    """Return what no episode may lose, and which one did; nothing for a verdict that assumes no such thing.

    `inferior` rests on the opposite, that no episode wins as much, whatever one loses.

    Args:
        verdict: of any version.
        first_seed: where the proof's episodes began.
    """
    floor, beyond = verdict.floor, verdict.beyond
    if floor is None or verdict.outcome == "undefined":
        return ""
    if verdict.outcome == "inferior":
        return f"no episode wins more than {floor:.2f} gains against the teacher's"
    if beyond is not None and beyond.episode is not None and beyond.loss is not None:
        seed = "" if first_seed is None else f" (seed {first_seed + beyond.episode})"
        return (
            f"episode {beyond.episode}{seed} lost {beyond.loss:.2f} gains, more than the {floor:.2f} that were assumed "
            "at most; compare on fresh episodes with what one may lose declared, such as --worst-loss "
            f"{1.5 * beyond.loss:.2g}"
        )
    why = "as declared" if verdict.declared else "a tenth more than the worst random one"
    return f"no episode loses more than {floor:.2f} gains ({why})"


def next_step(verdict: VerdictRecord) -> str:
    """Return what to do about a verdict; empty where nothing is to be done, or the verdict says it itself."""
    said_itself = verdict.beyond is not None and verdict.outcome == "undecided"
    return "" if said_itself else NEXT.get(str(verdict.outcome), "")


def pairing(paired: bool | None) -> str:
    """Return what is to be known of episodes that are no pairs."""
    return UNPAIRED if paired is False else ""
