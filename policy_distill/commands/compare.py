"""`policy-distill compare`: what a student keeps of its teacher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from policy_distill.commands.output import Output, interval_text, table


@dataclass(frozen=True)
class Compare:
    """Measure retention: the share of the teacher's gain over a random policy that the student keeps, on paired seeds.

    Example: policy-distill compare teacher.zip student.safetensors --env LunarLander-v3
    """

    teacher: Annotated[Path, tyro.conf.Positional]
    """Teacher zip (or a student file that stands in for one)."""
    student: Annotated[Path, tyro.conf.Positional]
    """student.safetensors (or another zip)."""
    env: str | None = None
    """Gymnasium id of the environment; by itself the one that the policy was made in."""
    episodes: int = 100
    """Episodes of each; each is run to its end."""
    seed: int = 0
    """Episode i starts from reset(seed=SEED + i), for all three."""
    vecnormalize: Path | None = None
    """Observation statistics of the teacher, where they do not lie beside its zip."""
    trust: bool = False
    """Load zips with SB3's own loading, which runs code from the file."""
    wrapper: tuple[str, ...] = ()
    """Environment wrappers of a teacher, such as FrameStack:n_stack=4; those in the Zoo's config.yml beside the zip are
    found by themselves."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Compare and print."""
        from policy_distill.commands.policies import find_env, load_policy, say_applied
        from policy_distill.evaluation import compare_policies
        from policy_distill.progress import Progress

        env = find_env(self.env, self.teacher)
        wrappers = self.wrapper or None
        teacher = load_policy(self.teacher, env, vecnormalize=self.vecnormalize, trust=self.trust, wrappers=wrappers)
        student = load_policy(self.student, env, trust=self.trust)
        say_applied(teacher)
        with Progress(3 * self.episodes, description="episodes", enabled=not self.json) as bar:
            found = compare_policies(
                teacher, student, env, self.episodes, self.seed, on_episode=lambda done: bar.update(done, {})
            )
        policies = {"teacher": found.teacher, "student": found.student, "random": found.random}
        record = {
            "env_id": found.teacher.env_id,
            "seed": self.seed,
            "n_episodes": found.teacher.n_episodes,
            **{name: evaluation.to_json() for name, evaluation in policies.items()},
            "retention": found.retention.to_json(),
        }
        rows = [
            (name, f"{one.mean:.1f} ± {one.std:.1f}", interval_text(one.to_json())) for name, one in policies.items()
        ]
        Output(self.json).show(record, rows, ("policy", "return, mean ± std", "return, IQM [95%]"))
        if not self.json:
            print("\n" + table([("retention, IQM [95%]", interval_text(found.retention.to_json(), 3))]))
        return 0
