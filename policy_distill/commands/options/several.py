"""Several teachers in place of one, where a command takes a policy by its place: its options, and their loading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError


@dataclass(frozen=True)
class Several:
    """Further teachers, and how all of them are one."""

    more_teachers: tuple[Path, ...] = ()
    """More teachers, combined with the first, in this order."""
    combine: str | None = None
    """How several teachers label a state together, as for distill: mixture, mean, best, best:MODULE:FUNCTION,
    dispatch:MODULE:FUNCTION or dispatch:KEY."""

    def load(self, path: Path, env_kwargs: Sequence[str], *, task: str | None = None, **options: Any) -> Any:
        """Return the policy of a path, or several teachers as one; options and errors as of `load_teacher`.

        Of a student of several tasks it is the one of `task`.
        """
        from policy_distill.commands.options.policies import load_named
        from policy_distill.environments.names import parse_kwargs
        from policy_distill.teachers.load import load_teacher

        if not self.more_teachers and self.combine is None:
            return load_named(path, env_kwargs, task=task, **options)
        if task is not None:
            raise RequestError("expected --task with a student alone, found it with several teachers; leave it out")
        paths = [path, *self.more_teachers]
        given = paths if self.more_teachers else path
        return load_teacher(given, env_kwargs=parse_kwargs(env_kwargs), combine=self.combine, **options)

    @staticmethod
    def measured(policy: Any, env: Any, n_envs: int) -> Any:
        """Return several teachers once they know who of them is best; any other policy as it is."""
        from policy_distill.evaluation.apart.teachers import measured

        return measured(policy, env, n_envs=n_envs)
