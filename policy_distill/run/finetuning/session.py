"""A fine-tuning between two iterations: a student, and a stream that counts the steps it learns from.

In: a student, whoever labels, environments and settings. Out: what all ways to improve it share.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import Loss
from policy_distill.run.finetuning.selection import Tuner
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.run.finetuning.standing import Standing
from policy_distill.run.session import Session
from policy_distill.run.sight import Sight
from policy_distill.student.features import Featurizer
from policy_distill.student.record import CriticRecord, StudentRecord
from policy_distill.student.spaces import describe_space


class FinetuneSession(Session):
    """A stream, and whoever improves the student."""

    config: FinetuneConfig

    def __init__(
        self,
        origin: StudentRecord,
        teacher: Teacher,
        envs: Environments,
        loss: Loss,
        config: FinetuneConfig,
        *,
        anchored: bool,
        critic: CriticRecord | None = None,
    ) -> None:
        """Begin at `origin`, which brings a `critic`; `teacher` labels what it comes to, and holds it where `anchored`.

        Raises:
            RequestError: where the environments show another thing than it sees.
        """
        # Nothing holds a student by what it was itself.
        config = config if anchored else replace(config, kl_weight=0.0)
        super().__init__(teacher, envs, origin.description.architecture.spec, loss, config)
        check_view(origin, self.stream.sight)
        self.origin = origin
        self.critic = critic
        """What the student that the run begins with brings beside it."""
        self.anchored = anchored
        """True where there is a teacher other than the student itself."""
        self.standing = Standing()
        """Where the student stands, as it was judged last."""
        self.stream.source.begin()
        self.stream.open(origin.description.normalizer)

    @property
    @abstractmethod
    def tuner(self) -> Tuner:
        """Who improves the student."""

    @property
    @abstractmethod
    def changes(self) -> bool:
        """True once the student is another one than it came as."""


def check_view(origin: StudentRecord, sight: Sight) -> None:
    """Check that a student is shown what it was made for.

    Raises:
        RequestError: for another form of observations.
    """
    expected, found = (
        origin.plan.featurizer,
        Featurizer(describe_space(sight.space), None, origin.plan.featurizer.images),
    )
    if [(part.key, part.shape) for part in expected.parts] != [(part.key, part.shape) for part in found.parts]:
        raise RequestError(
            f"expected an environment that shows {_words(expected)}, as the student sees, found {_words(found)}; "
            "name the one that it was distilled in"
        )


def _words(featurizer: Featurizer) -> str:
    return " and ".join(f"{part.key or 'an observation'} of shape {part.shape}" for part in featurizer.parts)
