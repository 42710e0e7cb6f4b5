"""Who plays in a comparison, and the part of it that needs no student: teacher and random policy.

In: a teacher, an environment and a plan. Out: evaluations, and the scale of the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from policy_distill.collection.actors import RandomPolicy
from policy_distill.collection.sampling import sampled
from policy_distill.environments.fit import check_fit
from policy_distill.environments.limit import say_cut
from policy_distill.environments.open import is_recipe
from policy_distill.environments.restarts import Restarts
from policy_distill.environments.watch import step_limit
from policy_distill.evaluation.episodes import Evaluation, join_evaluations, run_episodes
from policy_distill.evaluation.evaluate import open_for
from policy_distill.evaluation.mode_and_sample import mode_and_sample
from policy_distill.evaluation.on_workers import on_workers
from policy_distill.evaluation.proof.plan import BATCH, ProofPlan
from policy_distill.evaluation.proof.scale import Scale
from policy_distill.evaluation.side_by_side import OnStep
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stepping import Environments
from policy_distill.seeds import scale_start
from policy_distill.system.background import Background, has_idle_core

REFERENCES = ("teacher", "random")
"""Who plays beside the student."""

SAMPLED = "teacher_sampled"
"""The teacher by sampling."""


class ReferenceReturns(NamedTuple):
    """What is known of a comparison without its student."""

    scale: Scale
    """From episodes of their own."""
    teacher: list[Evaluation]
    """What the teacher scored up to each look."""
    random: list[Evaluation]
    """What the random policy scored up to each look."""
    sampled: Evaluation | None
    """The teacher by sampling; None where that was not asked for, or is the same."""


class Player:
    """Runs episodes of teacher, random policy and student in the same environments, opened when they are needed."""

    def __init__(self, teacher: Policy, env: Any, plan: ProofPlan, restarts: Restarts | None) -> None:
        self._policies: dict[str, Any] = {"teacher": teacher}
        self._env = env
        self._plan = plan
        self._restarts = restarts
        self._envs: dict[str, Environments] = {}
        """By the wrappers through which somebody alone sees them."""
        self.n_done = 0
        """Episodes played so far, here or where somebody else played them."""
        self.on_episode: OnStep | None = None
        """Called with the episodes done so far, of all policies."""

    def add(self, who: str, policy: Policy) -> None:
        """Let another policy play."""
        self._policies[who] = policy

    def play(self, who: str, seed: int, n_episodes: int) -> Evaluation:
        """Return what `who` scores in episodes from `seed` on; the random policy draws anew from that seed."""
        envs = self._opened(who)
        policy = self._random(envs, seed) if who == "random" else self._acting(who, seed)
        check_fit(self._policies.get(who, policy), envs)
        before, say = self.n_done, self.on_episode
        found = run_episodes(
            policy,
            envs,
            n_episodes,
            seed,
            True,
            None if say is None else lambda done: say(before + done),
            max_episode_steps=self._plan.max_episode_steps,
        )
        self.n_done += n_episodes
        return found

    def play_sampled(self, mode: Evaluation, scale: Scale) -> Evaluation | None:
        """Return what the teacher scores by sampling in the first of the episodes that it acted in by its `mode`.

        It plays until it is clear whether sampling is better by what matters in the proof, or no more are asked for.
        None where the plan asks for none, or the teacher has no distribution.
        """
        plan, most = self._plan, min(self._plan.n_sampled, mode.n_episodes)
        if most == 0 or plan.stochastic or not self._policies["teacher"].samples:
            return None
        self._policies[SAMPLED] = self._policies["teacher"]
        found = self.play(SAMPLED, plan.seed, min(BATCH, most))
        while (n := found.n_episodes) < most and not mode_and_sample(mode, found, scale.stake).is_clear(
            plan.margin * scale.gain
        ):
            found = join_evaluations([found, self.play(SAMPLED, plan.seed + n, min(BATCH, most - n))])
        return found

    def close(self) -> None:
        """Close the environments."""
        for envs in self._envs.values():
            envs.close()
        self._envs = {}

    def _opened(self, who: str) -> Environments:
        teacher = self._policies["teacher"]
        policy = self._policies.get(who, teacher)
        own = repr(list(policy.own_wrappers))
        if own not in self._envs:
            n_envs = min(self._plan.n_envs, self._plan.n_episodes)
            self._envs[own] = open_for(policy, self._env, n_envs, self._restarts, like=teacher)
        return self._envs[own]

    def _acting(self, who: str, seed: int) -> Any:
        """Return a policy that acts as the plan says; by sampling, it draws anew from that seed."""
        policy = self._policies[who]
        return sampled(policy, seed) if who == SAMPLED or self._plan.stochastic else policy

    def _random(self, envs: Environments, seed: int) -> RandomPolicy:
        masked = self._policies["teacher"].takes_action_masks
        rewindable = self._restarts is not None and self._restarts.allowed > 0
        return RandomPolicy(envs.action_space, envs.n_envs, seed, takes_action_masks=masked, rewindable=rewindable)


class ReferenceRuns:
    """Teacher and random policy on the episodes of a proof, run beside whatever else happens where a core is idle.

    It scales the proof, and runs as many of its episodes as certify a student that equals its teacher.
    """

    def __init__(
        self, teacher: Policy, env: Any, plan: ProofPlan, *, env_timeout: float = 0.0, restarts: Restarts | None = None
    ) -> None:
        """Start at once; `env_timeout` is the seconds that a step may take (0: any)."""
        self._plan = plan
        self._player = Player(teacher, env, plan, restarts.beside() if restarts else None)
        self._env_timeout = env_timeout
        # Where one environment was asked for, there may be no second beside it.
        self._forked = has_idle_core() and is_recipe(env) and plan.n_envs > 1 and not on_workers()
        self._background = Background(self._run, forked=self._forked)

    def result(self, on_episode: OnStep | None = None) -> ReferenceReturns:
        """Return what was found; errors as of `evaluate`."""
        found = self._background.result(on_episode)
        _say_cut(*found.teacher, *found.random)
        return found

    @contextmanager
    def beside(
        self, seed: int, n_episodes: int, *, pays: bool
    ) -> Iterator[Callable[[OnStep | None], list[Evaluation]]]:
        """Within, let both play further episodes in a process of their own where that `pays` and a core is idle.

        What it yields returns their evaluations, in the order of `REFERENCES`; none where nobody played.
        """
        if not (pays and self._forked):
            yield lambda on_episode: []
            return

        def play(on_episode: OnStep) -> list[Evaluation]:
            with self._opened(on_episode) as player:
                return [player.play(who, seed, n_episodes) for who in REFERENCES]

        def result(on_episode: OnStep | None) -> list[Evaluation]:
            found = background.result(on_episode)
            _say_cut(*found)
            return found

        with closing(Background(play, forked=True)) as background:
            yield result

    def close(self) -> None:
        """Stop, whether there is a result or not."""
        self._background.close()

    @contextmanager
    def _opened(self, on_episode: OnStep) -> Iterator[Player]:
        # A forked process has none of the threads that watch in this one.
        with step_limit(self._env_timeout), closing(self._player) as player:
            player.on_episode, player.n_done = on_episode, 0
            yield player

    def _run(self, on_episode: OnStep) -> ReferenceReturns:
        plan = self._plan
        with self._opened(on_episode) as player:
            start = scale_start(plan.seed) if plan.scale_seed is None else plan.scale_seed
            teacher_scale, random_scale = (player.play(who, start, plan.n_scale).returns for who in REFERENCES)
            scale = Scale(teacher_scale, random_scale, plan.worst_loss)
            wanted = plan.first_look_that_may_certify(scale)
            teacher, random = (
                [player.play(who, plan.seed + done, look - done) for done, look in plan.steps() if look <= wanted]
                for who in REFERENCES
            )
            return ReferenceReturns(scale, teacher, random, player.play_sampled(join_evaluations(teacher), scale))


def _say_cut(*found: Evaluation) -> None:
    """Say here what another process said, which nobody heard."""
    for one in found:
        say_cut(one.env_id, one.n_cut, one.lengths)
