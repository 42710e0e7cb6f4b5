"""What a student is, apart from its weights: its network, what it observes, what it does.

In: what a teacher is like, and a network. Out: a `StudentSpec`, from which learners make students.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.students import ActionDistribution, Network
from policy_distill.networks.table import make_network
from policy_distill.student.actions import ActionFeatures, ActionMap
from policy_distill.student.features import Featurizer, Normalizer
from policy_distill.student.head import Head
from policy_distill.student.onboard.wiring import NOTHING, Wiring
from policy_distill.student.pixels import convolved, images_for
from policy_distill.student.spaces import SpaceRecord, describe_space
from policy_distill.student.view import ALL, View


@dataclass(frozen=True)
class StudentSpec:
    """What a student is, apart from its weights."""

    network: str
    """Specification such as `mlp:32,32`."""
    activation: str
    """`tanh` or `relu`."""
    family: ActionDistribution
    """The distribution that it acts from, the teacher's own family."""
    log_std: str | None
    """`vector` (one for all states), `head` (an output of the network), or None for families without."""
    observation_space: SpaceRecord
    """As of `describe_space`; raw observations."""
    action_space: SpaceRecord
    """As of `describe_space`; executed actions."""
    action_map: ActionMap
    """From the family's actions to executed ones."""
    normalizer: Normalizer | dict[str, Normalizer] | None
    """Observation statistics, applied inside."""
    takes_action_masks: bool = False
    """The environment rules out actions."""
    images: tuple[str, ...] | None = None
    """Keys of pixels, as of `pixels.images_for`, which None asks."""
    view: View = ALL
    """What it sees of what its environment shows; `observation_space` is that part, or all."""
    wiring: Wiring = NOTHING
    """What its numbers are called."""

    @property
    def head(self) -> Head:
        """What the network's outputs mean."""
        return replace(self.family.head, extra=0) if self.log_std == "vector" else self.family.head

    @property
    def featurizer(self) -> Featurizer:
        """From raw observations to what the network takes."""
        space = self.observation_space
        images = images_for(space, self.network) if self.images is None else self.images
        return Featurizer(space, self.normalizer, images)

    @property
    def body(self) -> Network:
        """What builds the network.

        Raises:
            RequestError: for an unknown one, or a cnn of several images.
        """
        image = convolved(self.observation_space, self.network, self.featurizer.images)
        return make_network(self.network, self.activation, image, self.taken.n)

    @property
    def taken(self) -> ActionFeatures:
        """The numbers that an executed action is remembered by."""
        return ActionFeatures(self.head.choices, self.action_map)

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return self.head.n_outputs

    @classmethod
    def like(
        cls,
        teacher: Teacher,
        network: str,
        activation: str,
        normalizer: Normalizer | dict[str, Normalizer] | None,
        observation_space: Any = None,
        view: View = ALL,
        wiring: Wiring = NOTHING,
    ) -> StudentSpec:
        """Return the specification of a student for `teacher`: its family and post-processing, and its spaces.

        `observation_space` is what the student sees: the environment's own, which may differ from the teacher's in the
        order of an image's dimensions, or the part of it that `view` says.
        """
        log_std, space = None, observation_space or teacher.observation_space
        if teacher.family.has_log_std:
            log_std = "head" if teacher.state_dependent_std else "vector"
        return cls(
            network=network,
            activation=activation,
            family=teacher.family,
            log_std=log_std,
            observation_space=describe_space(space),
            action_space=describe_space(teacher.action_space),
            action_map=teacher.action_map,
            normalizer=normalizer,
            takes_action_masks=teacher.takes_action_masks,
            images=images_like(teacher, network, space),
            view=view,
            wiring=wiring,
        )


def images_like(teacher: Teacher, network: str, observation_space: Any) -> tuple[str, ...]:
    """Return the keys whose bytes a student of that network takes as pixels, as its teacher does where it says so."""
    return images_for(describe_space(observation_space), network, scaled=teacher.scales_images)
