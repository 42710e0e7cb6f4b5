"""`policy-distill evaluate`: returns of a teacher zip or a student file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from policy_distill.commands.options.several import Several
from policy_distill.commands.options.tracking_options import Tracking
from policy_distill.commands.showing.output import Output, interval_text
from policy_distill.system.wording import digits
from policy_distill.system.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from policy_distill.evaluation.episodes import Evaluation


@dataclass(frozen=True)
class Evaluate:
    """Measure the return of a teacher zip or a student file.

    Example: policy-distill evaluate student.safetensors --env LunarLander-v3 --episodes 100
    """

    policy: Annotated[Path, tyro.conf.Positional]
    """Teacher zip, student.safetensors or a run folder with one."""
    several: Annotated[Several, tyro.conf.arg(name="")] = field(default_factory=Several)
    task: str | None = None
    """The task to act in, for a student of several tasks: its name, or the id of its environment."""
    env: str | None = None
    """Gymnasium id of the environment, such as Pendulum-v1 or package:Id-v0; by default the one it was made
    in."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment's constructor, such as gravity:-5.0 enable_wind:True; values are Python literals.
    They override those that the policy was trained with."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    n_envs: int = 16
    """Environments stepped side by side, which changes no episode; 1 where only one instance may exist."""
    episodes: int = 100
    """Episodes; each is run to its end."""
    max_episode_steps: int = 0
    """Steps after which an episode is stopped, and counts with its return so far; 0 for the environment's registered
    limit, or 27,000 without one."""
    seed: int = 0
    """Episode i starts from reset(seed=SEED + i)."""
    stochastic: bool = False
    """Sample actions instead of acting by the mode, seeded by --seed: the same seed gives the same returns. gSDE's
    noise lasts an episode. DQN, QR-DQN, TD3, DDPG and ARS act alike either way, as in SB3."""
    vecnormalize: Path | None = None
    """Observation statistics of a teacher, where they are not next to its zip; none for a teacher without any."""
    trust: bool = False
    """Load a teacher with SB3's own loading, which runs code from the file."""
    wrapper: tuple[str, ...] = ()
    """Environment wrappers of a teacher, such as FrameStack:n_stack=4; those in the Zoo's config.yml are found
    automatically; none applies no wrapper."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False
    staff: Annotated[WorkerSettings, tyro.conf.arg(name="")] = field(default_factory=partial(WorkerSettings, 0))
    tracking: Annotated[Tracking, tyro.conf.arg(name="")] = field(default_factory=Tracking)

    def run(self) -> int:
        """Evaluate and print."""
        from policy_distill.commands.options.policies import find_env, say_applied
        from policy_distill.evaluation.evaluate import evaluate
        from policy_distill.teachers.files.claims import claimed_by

        self.tracking.check()
        wrappers = self.wrapper or None
        loading: dict[str, Any] = {"vecnormalize": self.vecnormalize, "wrappers": wrappers, "task": self.task}
        policy = self.several.load(self.policy, self.env_kwargs, trust=self.trust, **loading)
        named = {"env_kwargs": self.env_kwargs, "gym_packages": self.gym_packages}
        env = find_env(self.env, self.policy, policy, **named)
        policy = self.several.measured(policy, env, self.n_envs)
        say_applied(policy)
        limits: dict[str, Any] = {"max_episode_steps": self.max_episode_steps, "n_envs": self.n_envs}
        limits["workers"] = self.staff
        found = evaluate(policy, env, self.episodes, self.seed, not self.stochastic, **limits)
        claims = claimed_by(policy)
        record = self._record(found) | ({"claimed": claims.to_json()} if claims else {})
        Output(self.json).show(record, _rows(found) + ([("claimed", str(claims))] if claims else []))
        if self.tracking.track != "disabled":
            from policy_distill.student.runtime import Student
            from policy_distill.tracking.evaluation import evaluation_row

            who = "student" if isinstance(policy, Student) else "teacher"
            self.tracking.log(self.policy, record, [evaluation_row(policy, found.mean, who=who)])
        return 0

    def _record(self, found: Evaluation) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "policy": str(self.policy),
            "env_id": found.env_id,
            "seed": self.seed,
            "n_episodes": found.n_episodes,
            "deterministic": not self.stochastic,
            "paired": found.paired,
            **found.to_json(),
            "min": float(found.returns.min()),
            "max": float(found.returns.max()),
            "returns": found.returns.tolist(),
            "lengths": found.lengths.tolist(),
            "wall_seconds": found.wall_seconds,
        }


def _rows(found: Evaluation) -> list[tuple[str, Any]]:
    """Return what is printed for people."""
    record = found.record()
    return [
        ("environment", found.env_id),
        ("episodes", found.n_episodes),
        ("return, mean ± std", f"{digits(found.mean)} ± {digits(found.std)}"),
        ("return, IQM [95%]", interval_text(record)),
        ("return, median", digits(record.median)),
        ("return, worst 5%", digits(record.worst5)),
        ("return, min to max", f"{digits(found.returns.min())} to {digits(found.returns.max())}"),
        ("seconds", f"{found.wall_seconds:.1f}"),
    ]
