"""What teacher and students see of the environments of a run.

In: environments, and what students are to see of them. Out: the side of each, and who acts and labels by its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

import numpy as np
from gymnasium import spaces

from policy_distill.collection.measuring import measure_normalizer
from policy_distill.collection.one_sided import OneSided, OneSidedTeacher
from policy_distill.config import DistillConfig
from policy_distill.environments.frame_stack import frames_of
from policy_distill.environments.own_wrapper import own_wrapper
from policy_distill.environments.two_sides import STUDENT, TEACHER, Sides, side_of
from policy_distill.interfaces.policies import Actor, Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.student.features import Normalizer
from policy_distill.student.onboard.names import action_names, check_names, observation_names
from policy_distill.student.onboard.wiring import Wiring, check_wiring, wiring_of
from policy_distill.student.pixels import channels_first, convolves, image_first
from policy_distill.student.spaces import describe_space, make_space
from policy_distill.student.view import View, view_of
from policy_distill.training.learners import takes_raw_numbers


class Sight:
    """Both sides of an observation; one and the same for most students."""

    def __init__(self, envs: Environments, config: DistillConfig, network: str) -> None:
        """Look at environments for students of `network`.

        Raises:
            RequestError: where the settings name what there is not.
        """
        self.sides = Sides.of(envs.observation_space) if config.student_wrapper else None
        """The spaces of both, where students have a wrapper of their own."""
        self._network = network
        self._normalize = config.normalize
        self.view, self.space, labels = _observed(envs, config, network)
        """What students see, and the space of that."""
        self.wiring = _wired(envs, config, self.view, labels, self.space)
        """What their numbers are called."""
        self.n_frames = frames_of(envs) if self.sides is None else 1
        """Frames that an observation of students holds, as far as that is known."""

    def seen(self, obs: Any) -> Any:
        """Return what students see of raw observations of the environments."""
        return self.view.narrow(obs if self.sides is None else side_of(obs, STUDENT))

    def statistics(
        self, teacher: Teacher, obs: Any, images: Collection[str]
    ) -> Normalizer | dict[str, Normalizer] | None:
        """Return what features are made with: the teacher's statistics, or those of its first rollout `[B, ...]`."""
        if takes_raw_numbers(self._network):
            return None
        # Of what a wrapper shows the teacher has no statistics.
        known = None if self.sides else teacher.normalizer
        if known is not None or self._normalize == "none":
            return self.view.statistics(known)
        return self.measured(obs, images)

    def measured(self, obs: Any, images: Collection[str]) -> Normalizer | dict[str, Normalizer] | None:
        """Return statistics of what students see of raw observations `[B, ...]`; of choices and of pixels none."""
        seen, space = self.seen(obs), self.space
        if isinstance(seen, dict):
            boxes = {k: sub for k, sub in space.spaces.items() if isinstance(sub, spaces.Box) and k not in images}
            return {key: self._measured(seen[key], sub) for key, sub in boxes.items()}
        return self._measured(seen, space) if isinstance(space, spaces.Box) and not images else None

    def _measured(self, obs: np.ndarray, space: spaces.Box) -> Normalizer:
        to_convolve = convolves(self._network) and len(space.shape) == 3
        channels = (0 if channels_first(space.shape) else 2) if to_convolve else None
        return measure_normalizer(obs, space.low, space.high, channels)

    def taught(self, obs: Any) -> Any:
        """Return what the teacher sees of them."""
        return obs if self.sides is None else side_of(obs, TEACHER)

    def student(self, actor: Actor) -> Actor:
        """Return a student that acts in these environments."""
        return actor if self.sides is None else OneSided(actor, STUDENT)

    def teacher(self, actor: Actor) -> Actor:
        """Return a teacher who acts in these environments."""
        return actor if self.sides is None else OneSided(actor, TEACHER)

    def labeller(self, teacher: Teacher) -> Teacher:
        """Return a teacher who labels observations of these environments."""
        return teacher if self.sides is None else cast(Teacher, OneSidedTeacher(teacher))


def _observed(envs: Environments, config: DistillConfig, network: str) -> tuple[View, Any, tuple[str, ...] | None]:
    """Return what students of a network see of an observation, the space of that, and names for the whole of it.

    Raises:
        RequestError: where the settings name what there is not.
    """
    own = own_wrapper(config.student_wrapper)
    shown = Sides.of(envs.observation_space).student if own else envs.observation_space
    whole = describe_space(shown)
    place = f"what {own['entry_point']} shows" if own else f"what {envs.env_id} shows"
    labels = check_names(config.named, whole, place) if config.named else observation_names(envs.env_id, whole)
    view = view_of(whole, config.observed, place, labels)
    ordered = image_first(whole if view.whole is None else view.space, network)
    same = view.whole is None and list(ordered.get("spaces", ())) == list(whole.get("spaces", ()))
    return replace(view, wrapper=own), shown if same else make_space(ordered), labels


def _wired(envs: Environments, config: DistillConfig, view: View, labels: tuple[str, ...] | None, space: Any) -> Wiring:
    """Return what the numbers of students are called: as the settings say, or as is known of the environment.

    Raises:
        RequestError: for names that do not fit.
    """
    acted = describe_space(envs.action_space)
    # A wrapper may show the same number of other things.
    known = not envs.identity.wrappers and not config.student_wrapper
    actions = config.named_actions or (action_names(envs.env_id, acted) if known else None)
    told = wiring_of(view, labels if config.named or known else None, actions, config.control_hz or None)
    return check_wiring(told, describe_space(space), acted, envs.env_id)
