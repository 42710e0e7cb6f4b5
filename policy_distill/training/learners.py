"""Who learns, by the kind of a student: the word before the colon of its specification.

In: a specification such as `mlp:32,32`. Out: what makes a learner. Whatever has no line here learns by gradient steps,
as every network does.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from policy_distill.interfaces.stages import LearnerKind
from policy_distill.networks.table import KINDS, TREES
from policy_distill.system.blame import others_blamed
from policy_distill.system.plugins import LEARNERS as GROUP
from policy_distill.system.plugins import load_plugin
from policy_distill.training.learner import GradientLearner
from policy_distill.training.trees.learner import TreeLearner

LEARNERS: dict[str, LearnerKind] = {**dict.fromkeys(KINDS, GradientLearner), **dict.fromkeys(TREES, TreeLearner)}


def find_learner(network: str) -> LearnerKind:
    """Return what makes learners for the students of a specification: ours, or of an installed package."""
    kind, _, _ = network.partition(":")
    found: LearnerKind = LEARNERS.get(kind) or load_plugin(GROUP, kind) or GradientLearner
    return found


def while_learning() -> AbstractContextManager[None]:
    """Return where a loss, a family, a network or a learner of somebody else's that fails is named in one line.

    Raises:
        RunFault: saying whose code it was, what it raised and where.
    """
    return others_blamed("the student cannot learn", "fix it, or choose another loss or student")


def takes_raw_numbers(network: str) -> bool:
    """Say whether the students of a specification learn from observations as they are, in their own units."""
    return network.partition(":")[0] in TREES
