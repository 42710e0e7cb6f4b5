"""Which episodes a comparison runs: how many, from which seeds, how often one looks.

In: what the user asks for. Out: a `ProofPlan`, checked when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.scale import N_EPISODES, Scale, check_worst_loss
from policy_distill.evaluation.proof.verdict import MARGIN, check_share, episodes_for_equal
from policy_distill.seeds import LIMIT

N_ENVS = 16
"""Environments stepped side by side."""

BATCH = 2 * N_ENVS
"""Episodes between two looks of a proof."""

MAX_EPISODES = 300
"""Episodes of a proof at most: they certify a student that equals its teacher at floors of up to four gains."""


N_SAMPLED = 100
"""Episodes that a teacher acts by sampling in, beside its mode, at most; it ends sooner where it is clear."""


@dataclass(frozen=True)
class ProofPlan:
    """Which episodes a comparison runs, and how often it looks."""

    n_episodes: int
    """Episodes of each policy, at most."""
    seed: int
    """Episode i starts from reset(seed=seed + i), for all three policies."""
    batch: int | None = None
    """Episodes between two looks, after each of which a clear verdict ends the comparison; None looks once, at the
    end."""
    scale_seed: int | None = None
    """Where the episodes begin that scale it; None for seeds of their own."""
    n_scale: int = 0
    """How many these are; 0 for as many as are usual."""
    worst_loss: float | None = None
    """What one episode may lose at most, in gains; None for a tenth more than the worst random episode loses."""
    margin: float = MARGIN
    """Share of the teacher's gain over random that may be lost."""
    stochastic: bool = False
    """Teacher and student act by sampling, and not by their modes."""
    n_sampled: int = 0
    """Episodes in which the teacher acts by sampling too, beside its mode, at most; 0 for none."""
    n_envs: int = N_ENVS
    """Environments stepped side by side where they can be made; it does not change which episodes are run."""

    max_episode_steps: int | None = None
    """Steps after which an episode is stopped, and counts with what it gained; 0 or None for the environment's own."""

    def __post_init__(self) -> None:
        """Check what a user may have set.

        Raises:
            RequestError: for a number that is out of range.
        """
        check_counts(self.n_episodes, self.seed)
        check_share("margin", self.margin)
        check_worst_loss(self.worst_loss, self.margin)
        if self.batch is not None and not 2 <= self.batch <= self.n_episodes:
            raise RequestError(
                f"expected batches of 2 to {self.n_episodes} episodes (the cap), found {self.batch}; set --episodes"
            )
        if not self.n_scale:
            # Of a short comparison as many as it has itself, so that a quick look stays quick.
            object.__setattr__(self, "n_scale", max(2, min(N_EPISODES, self.n_episodes)))

    @property
    def n_played(self) -> int:
        """Episodes of all policies together, at most."""
        return 3 * self.n_episodes + 2 * self.n_scale + min(self.n_sampled, self.n_episodes)

    def looks(self) -> list[int]:
        """Return the episodes seen at each look, rising."""
        if self.batch is None:
            return [self.n_episodes]
        return [*range(self.batch, self.n_episodes, self.batch), self.n_episodes]

    def steps(self) -> list[tuple[int, int]]:
        """Return the episodes done before and after each step to the next look."""
        looks = self.looks()
        return list(zip([0, *looks[:-1]], looks, strict=True))

    def first_look_that_may_certify(self, scale: Scale) -> int:
        """Return the first look at which a student that equals its teacher is certified; the last where none is."""
        needed = episodes_for_equal(scale, self.margin)
        return next((look for look in self.looks() if look >= needed), self.n_episodes)


def check_counts(n_episodes: int, seed: int) -> None:
    """Refuse what is no number of episodes, or no seed.

    Raises:
        RequestError: naming it.
    """
    if n_episodes < 1:
        raise RequestError(f"expected at least 1 episode, found {n_episodes}; set --episodes")
    if seed < 0:
        raise RequestError(f"expected a seed of at least 0, found {seed}; set --seed")
    if seed + n_episodes > LIMIT:
        raise RequestError(
            f"expected episode seeds below 2^31, which simulators keep in a C int, found {n_episodes} episodes from "
            f"seed {seed} on; set a lower --seed"
        )
