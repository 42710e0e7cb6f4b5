"""The student that acts: NumPy alone, neither torch nor Stable-Baselines3 nor Gymnasium.

In: a student file. Out: executed actions, through SB3's `predict` or the control loop's `act`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import Engine
from policy_distill.student.check import check_read_back, check_student
from policy_distill.student.engines.table import RUNTIMES, make_engine
from policy_distill.student.file import in_run_folder, read_student, write_sealed
from policy_distill.student.onboard.watched import Watched
from policy_distill.student.record import CriticRecord, StudentRecord, format_of, split_critic, with_critic
from policy_distill.student.sampling import draw, params_of
from policy_distill.system.announced import MANY_TASKS, SB3_MODEL, TRAINABLE, announced
from policy_distill.system.nested import count

if TYPE_CHECKING:
    from stable_baselines3 import PPO
    from torch import nn


class Student(Watched):
    """A policy that answers SB3's `predict` on raw observations: normalisation and post-processing are inside.

    Threads may share it, but not `act` of a student with a memory. Sampling draws from one generator, which `seed`
    sets; which thread gets which draw is open.
    """

    def __init__(self, tensors: dict[str, np.ndarray], metadata: Mapping[str, Any], runtime: str = "auto") -> None:
        self._take(StudentRecord.of(tensors, metadata), runtime)

    def _take(self, record: StudentRecord, runtime: str) -> None:
        self.record = record
        self.tensors = record.tensors
        self.runtime = runtime
        """What computes the actions: a key of `policy_distill.student.engines.table.ENGINES`, or `auto`."""
        self.plan = record.plan
        self.normalizer: Any = self.plan.normalizer
        self._seed = 0
        self._remembered = np.zeros(self.plan.memory.size, np.float32)

    @classmethod
    def of(cls, record: StudentRecord, runtime: str = "auto") -> Student:
        """Return the student that a record describes."""
        made = cls.__new__(cls)
        made._take(record, runtime)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as arrays and a record, without buffers; sampling starts again from the seed."""
        return _rebuild, (self._seed, self.critic, self.tensors, self.metadata, self.runtime)

    def seed(self, seed: int) -> None:
        """Restart the generator that sampled actions are drawn from."""
        self._seed = seed
        self.__dict__.pop("_rng", None)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions for one raw observation or a batch `[B, ...]`, and the next state.

        Of a student without a memory that is `state` as it came. With one it is float32 `[B, plan.memory.size]`, to be
        handed over with the next step of the same episodes; `episode_start`, bool `[B]`, is True where one begins. What
        `act` remembers plays no part.

        Raw is as the environment gives it: under a `VecNormalize`, whose statistics the student has inside, a loop such
        as SB3's `evaluate_policy` would normalise twice. Give it `env.venv`, or set `env.norm_obs = False`.

        `action_masks` (bool `[B, A]`, or `[A]` for all alike; discrete actions only) rules out actions, as
        sb3-contrib's masks do.

        Raises:
            ValueError: for an observation of another shape than `observation_space`, or masks or a state that do not
                fit.
        """
        obs, single = self.plan.featurizer.batched(self.view.narrow(observation))
        memory = self.plan.memory
        if memory.size:
            outputs, state = self._engine.step(obs, memory.taken_up(state, count(obs), episode_start))
        elif single and deterministic and action_masks is None:
            return self.act(observation), state
        else:
            outputs = self._engine.outputs(obs)
        actions = self.plan.action_map.execute(self._choose(outputs, deterministic, action_masks))
        return (actions[0] if single else actions), self.plan.remember(state, actions)

    @cached_property
    def act(self) -> Callable[..., Any]:
        """`act(obs)` returns the executed deterministic action for one raw observation: the control loop's call.

        A student with a memory remembers from call to call; `reset` begins an episode. Values are not looked at, and of
        vectors one length is compared. A part of what its environment shows may come as that part or as the whole, and
        named numbers as a dict. With a monitor, `act(obs, monitor=True)` returns the action and how novel the step is.

        Raises:
            ValueError: for what is not one observation of the space's shape, a batch of one included.
        """
        return self._make_act(self._engine, self._remembered)

    def reset(self) -> None:
        """Begin an episode for `act`: forget what it remembers, and what its monitor does."""
        self._remembered.fill(0)
        self._forget_step()

    @cached_property
    def _rng(self) -> np.random.Generator:
        # Made when it is first drawn from: importing numpy.random takes 3 MB.
        return np.random.default_rng(self._seed)

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self.runtime, self.plan)

    def network_outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs `[B, n_outputs]` for a batch of raw observations, as its head takes them.

        Of a student with a memory each is the first of an episode.
        """
        return self._engine.outputs(self.view.narrow(obs))

    def step(self, obs: Any, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs for one step of each episode, and the next state; as of `Engine.step`."""
        return self._engine.step(self.view.narrow(obs), state)

    def distribution_params(self, obs: Any) -> np.ndarray:
        """Return the distribution parameters `[B, P]` for a batch of raw observations `[B, ...]`.

        Raises:
            RequestError: for a student without log σ.
        """
        return params_of(self.record, self.network_outputs(obs))

    def save(self, path: str | Path) -> Path:
        """Write the student to one file and return its path.

        Raises:
            RunFault: where what was written cannot be loaded, or acts otherwise; a file that was there stays.
        """
        act, said = Student.of(self.record, "numpy").act, self.description
        record = {**self.metadata, "format_version": format_of(said)}
        whole = with_critic(self.tensors, record, self.critic)
        write_sealed(path, *whole, lambda new: check_read_back(new, load_student, act, said.observation_space))
        return Path(path)

    def torch(self) -> nn.Module:
        """Return the student as a trainable `nn.Module` from raw observations to distribution parameters.

        Raises:
            RequestError: for a student without log σ, or with layers that cannot be trained.
        """
        module: nn.Module = announced(TRAINABLE)(self.record)
        return module

    def to_sb3(self, env: Any) -> PPO:
        """Return a Stable-Baselines3 PPO model in `env` that starts as this student, and its critic if it has one."""
        model: PPO = announced(SB3_MODEL)(self.record, env, self.critic)
        return model

    def _choose(self, outputs: np.ndarray, deterministic: bool, action_masks: np.ndarray | None) -> np.ndarray:
        head = self.plan.head
        scores = head.scores(outputs)
        if action_masks is not None:
            scores = head.rule_out(scores, action_masks)
        if deterministic:
            return head.mode(scores)
        return draw(self.record, scores, outputs, self._rng)


def _rebuild(seed: int, critic: CriticRecord | None, *parts: Any) -> Student:
    student = Student(*parts)
    student.critic = critic
    student.seed(seed)
    return student


def load_student(path: str | Path, runtime: str = "auto") -> Student:
    """Load a student file into a policy that acts on raw observations; of several tasks, its `task(NAME)` does.

    Args:
        path: a `student.safetensors`, a run folder with one, or `hf://user/repository` of one.
        runtime: what computes the actions: `numpy`; `native`, `torch` or `onnx`, where they are installed; `auto` takes
            the fastest that is there and never torch.

    Raises:
        RequestError: for a runtime that is unknown or not installed, or a file that is missing, foreign or altered.
    """
    if runtime not in RUNTIMES:
        raise RequestError(f"expected a runtime among {', '.join(RUNTIMES)}, found {runtime!r}")
    tensors, metadata = read_student(in_run_folder(path))
    try:
        if "tasks" in metadata:
            return cast("Student", announced(MANY_TASKS)(tensors, metadata, runtime))
        tensors, metadata, critic = split_critic(tensors, metadata)
        check_student(metadata, tensors)
        student = Student(tensors, metadata, runtime)
        student.critic = critic
        student.act  # noqa: B018 - made now, so that a broken file or a missing library shows here
        return student
    except RequestError:
        raise
    except Exception as error:
        # A record may hold anything at all under the names that are looked for.
        reason = f"{type(error).__name__}: {str(error)[:120]} while reading its record"
        raise RequestError(f"{path} is not a whole student file: {reason}; write it again") from None
