"""The large figures of a page and the word beside its title: what was proven, how small the student is, what it took.

In: what a run proved, or all runs of a suite. Out: values, what each is, and what qualifies it.
"""

from __future__ import annotations

from policy_distill.evaluation.parts.tuning_record import TuningRecord
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds
from policy_distill.evaluation.proof.words import pairing
from policy_distill.evaluation.records import EvaluationRecord, FidelityRecord
from policy_distill.report.suite_charts import compression_of, n_params_of
from policy_distill.system.wording import times, times_fewer

UNDEFINED = "the teacher's returns are not clearly above random ones"
VERDICTS = {"non-inferior": "good", "inferior": "bad"}


def badge(proof: EvaluationRecord) -> tuple[str, str] | None:
    """Return the verdict and its kind; of a fine-tuning whether the tuned student was kept."""
    if proof.finetuning is not None and proof.finetuning.outcome is not None:
        kept = proof.finetuning.kept_tuned
        return ("better than it began", "good") if kept else ("returned as it began", "open")
    outcome = proof.retention.outcome if proof.retention else None
    return None if outcome is None else (outcome, VERDICTS.get(outcome, "open"))


def figures(proof: EvaluationRecord) -> list[tuple[str, str, str]]:
    """Return the figures of one run."""
    found = _gain_figure(proof.finetuning) if proof.finetuning is not None else []
    found += _proof_figures(proof) if proof.retention else []
    ratio, n_params = compression_of(proof), n_params_of(proof) or 0
    if ratio is not None:
        found.append(_size_figure(ratio, n_params))
    fidelity = proof.fidelity or FidelityRecord()
    for value, name in ((fidelity.agreement, "agreement of actions"), (fidelity.kl, "KL, nats")):
        if value is not None:
            found.append((f"{value:.{3 if value >= 0.001 else 2}g}", name, "on the student's own states"))
    found.append((f"{proof.env_steps or 0:,}", "environment steps", f"{proof.wall_seconds or 0:,.1f} s"))
    return found


def overall_figure(total: AcrossSeeds) -> tuple[str, str, str]:
    """Return what a suite's students keep on the whole."""
    words = {
        "interval": f"95%: [{total.low:.3f}, {total.high:.3f}]; over seeds and episodes",
        "range": f"range {total.low:.3f} to {total.high:.3f} of the training seeds",
        "none": "no interval; one training seed of each",
        "undefined": UNDEFINED,
    }
    value = "undefined" if total.kind == "undefined" else f"{total.mean:.3f}"
    return (value, "return kept, mean", words[total.kind])


def _gain_figure(found: TuningRecord) -> list[tuple[str, str, str]]:
    """Return what the tuned student gains over the one that it began as."""
    if found.gain is None or found.outcome is None:
        return []
    kept = "the tuned student is kept" if found.kept_tuned else "the student that it began with is returned"
    surely = "" if found.p_value is None else f", p = {found.p_value:.2g}"
    return [(f"{found.gain:+.4g}", "return gained", f"{found.outcome}{surely}, {found.n_episodes} episodes; {kept}")]


def _size_figure(ratio: float, n_params: int) -> tuple[str, str, str]:
    if ratio > 1.0:
        return (f"{times(ratio)} x", "fewer parameters", f"{n_params:,} are left")
    what = "the student is not smaller than its teacher" if ratio else "the teacher has no parameters"
    return (times_fewer(ratio), "parameters", f"{what}; the student has {n_params:,}")


def _proof_figures(proof: EvaluationRecord) -> list[tuple[str, str, str]]:
    """Return the mean retention, the falls, and the IQM after them."""
    pairs = "episodes" if pairing(proof.paired) else "paired episodes"
    first, n_episodes = headline(proof), f"{proof.n_episodes} {pairs}"
    if first.mean is None:
        return [("undefined", "return kept", UNDEFINED)]
    bound = "no bound" if first.low is None else f"at least {first.low:.3f} (95%)"
    found = [(f"{first.mean:.3f}", "return kept, mean", f"{bound}; {n_episodes}")]
    if first.falls is not None:
        count, _, rest = first.falls.partition(" episodes ")
        found.append((count, "falls", rest))
    if first.iqm is not None:
        found.append((f"{first.iqm:.3f}", "return kept, IQM", "without the best and the worst quarter"))
    return found
