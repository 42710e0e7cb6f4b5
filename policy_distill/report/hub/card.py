"""The card of a student: settings that the hub reads, and a page for people.

In: a student with its proof, and where it goes. Out: Markdown that begins with YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from policy_distill.evaluation.policy_records import returns_of
from policy_distill.evaluation.proof.words import assumption_words, verdict_words
from policy_distill.report.hub.package import Package
from policy_distill.student.onboard.origins import TeacherProvenance
from policy_distill.system.hub.client import hub
from policy_distill.system.wording import digits

LIBRARY = "policy-distill"
TAGS = ("deep-reinforcement-learning", "reinforcement-learning", "policy-distillation", "stable-baselines3")


def model_card(package: Package, repo: str, *, licence: str, files: Sequence[str], latency_us: float) -> str:
    """Return the card of a student in `repo` beside `files`; `latency_us` is that of one `act` where it was made.

    The library that speaks to the hub writes the settings, so that its pages understand them.

    Raises:
        RequestError: where that is not installed.
    """
    teacher = package.student.origin.taught_by
    env_id = str(package.record.env_id)
    settings = hub().ModelCardData(
        library_name=LIBRARY,
        tags=[*TAGS, env_id],
        license=licence,
        base_model=(teacher.hub or {}).get("repo"),
        model_name=str(package.student.metadata["architecture"]["spec"]),
        eval_results=list(_results(package, env_id)) or None,
        pipeline_tag="reinforcement-learning",
    )
    return "\n".join(["---", settings.to_yaml().rstrip(), "---", "", *_page(package, repo, teacher, files, latency_us)])


def _results(package: Package, env_id: str) -> Iterator[Any]:
    result = hub().EvalResult
    task: dict[str, Any] = {"task_type": "reinforcement-learning", "task_name": "reinforcement-learning"}
    task |= {"dataset_type": env_id, "dataset_name": env_id, "verified": False}
    first, returns = package.headline, package.returns
    if returns.mean is not None and returns.std is not None:
        # In the form that the hub's leaderboards read.
        value = f"{returns.mean:.2f} +/- {returns.std:.2f}"
        yield result(metric_type="mean_reward", metric_name="mean_reward", metric_value=value, **task)
    if first.mean is not None:
        yield result(metric_type="retention", metric_name="retention", metric_value=first.text(), **task)
    if first.falls is not None:
        yield result(metric_type="falls", metric_name="falls", metric_value=first.falls, **task)


def _page(
    package: Package, repo: str, teacher: TeacherProvenance, files: Sequence[str], latency_us: float
) -> Iterator[str]:
    student, first = package.student, package.headline
    size = student.metadata["architecture"]
    yield f"# {size['spec']} for {package.record.env_id}"
    yield ""
    yield f"A compact student of {_teacher_words(teacher)}, distilled with {LIBRARY}. It acts with NumPy alone."
    yield ""
    if first.outcome != "non-inferior":
        yield f"**It is not proven to keep its teacher's return** (verdict: {first.outcome or 'no proof'})."
        yield ""
    yield "```python"
    yield "from policy_distill import load_student"
    yield ""
    yield f'policy = load_student("hf://{repo}")'
    yield "obs = policy.observation_space.sample()  # raw, as the environment gives it"
    yield "action = policy.act(obs)"
    yield "```"
    yield ""
    yield from _table(("", "return, mean ± std", "parameters", "bytes"), list(_policies(package)))
    yield ""
    yield from _table(("proof", ""), list(_proof(package)))
    yield ""
    yield from _table(("size", ""), [(key, f"{size[name]:,}") for key, name in SIZES])
    yield f"| one `act`, where this was written | {latency_us:.1f} µs |"
    yield ""
    yield "Files: " + ", ".join(f"`{name}`" for name in files) + "."
    yield ""


SIZES = (("parameters", "n_params"), ("bytes", "n_bytes"), ("multiply-accumulates", "macs"))


def _teacher_words(teacher: TeacherProvenance) -> str:
    place = f" (`{teacher.hub['repo']}` at `{str(teacher.hub['commit'])[:12]}`)" if teacher.hub else ""
    return f"a {teacher.algorithm or 'teacher'} agent{place}"


def _policies(package: Package) -> Iterator[tuple[str, ...]]:
    for name, one in package.record.policies.items():
        returns = returns_of(one)
        if returns.mean is not None and returns.std is not None:
            spread = f"{digits(returns.mean)} ± {digits(returns.std)}"
            yield (name, spread, _count(one.n_params), _count(one.n_bytes))


def _proof(package: Package) -> Iterator[tuple[str, str]]:
    first, verdict = package.headline, package.verdict
    yield ("retention of the teacher's gain, mean", first.text())
    if verdict.complete:
        yield ("verdict", verdict_words(verdict))
        yield ("assumed", assumption_words(verdict, package.record.seed))
    for name, text in (("falls", first.falls), ("falls of the teacher", first.teacher_falls)):
        if text is not None:
            yield (name, text)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"| {' | '.join(header)} |"
        yield f"|{'---|' * len(header)}"
        for row in rows:
            yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
