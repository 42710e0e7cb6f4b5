"""Settings of a distillation: one frozen record, checked when it is made.

In: keyword arguments of `distill` or options of the command line. Out: a `DistillConfig` that later stages trust.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from policy_distill.seeds import PROOF
from policy_distill.system.ranges import CHOICES, MAX_ENVS, RANGES
from policy_distill.system.settings import check_numbers, require_setting, with_overrides

RACE_STEPS = 100_000
"""Environment steps of a race, where nobody says how many: it takes all of them."""


@dataclass(frozen=True)
class DistillConfig:
    """Everything that shapes a distillation, apart from teacher, environment and student."""

    timesteps: int = 200_000
    """Most environment steps to collect, over all environments together (at least 1)."""
    stop: Literal["auto", "never"] = "auto"
    """auto ends the collection when the student has kept the teacher's return on the selection episodes twice in a row,
    the divergence on fresh states has stopped falling, and fresh episodes confirm it; never collects all timesteps, as
    reward_weight and actor=mixed always do."""
    seed: int = 0
    """Seed of everything random; the same seed gives the same student, bit for bit on a CPU (of images and wide
    networks: with the same number of threads)."""
    loss: str = "auto"
    """Divergence from the teacher: forward_kl, reverse_kl, ...; auto takes forward_kl, or mse for a teacher that only
    gives actions."""
    actor: Literal["student", "teacher", "mixed"] = "student"
    """Who acts after the teacher's first rollout. mixed hands over linearly from teacher to student."""
    objective: Literal["kl", "n_distill", "reverse_trajectory", "teacher_value"] = "kl"
    """kl matches the teacher in the states that are visited. The others also weigh where the student's actions lead:
    n_distill and reverse_trajectory to states where it matches badly, teacher_value to those of less return."""
    value_weight: float = 0.0
    """Distil the teacher's value function into a critic in the student's file, with this multiple of the learning rate;
    0 for none. finetune and to_sb3 start with it; the student acts the same."""
    reward_weight: float = 0.0
    """Weight of the reward next to the divergence: PPO's objective, on what the student itself samples. 0 for none."""
    kl_schedule: Literal["constant", "linear", "retention"] = "constant"
    """How the divergence's weight falls when reward is used too: not at all, linearly to the end, or to 0 as the
    student's return reaches the teacher's."""
    value_gate: bool = False
    """Learn only in states where the teacher expects more return than the student gets from there."""
    buffer: Literal["aggregate", "latest"] = "aggregate"
    """Train on all labelled states so far, or only on the latest rollout."""
    buffer_size: int = 1_000_000
    """Most labelled states to keep; the oldest are dropped."""
    n_envs: int = 8
    """Environments stepped side by side, in one process."""
    n_steps: int = 128
    """Steps of each environment in one rollout."""
    n_epochs: int = 16
    """Gradient passes per state, averaged over a run; fixed passes make more at the start, when data is scarce."""
    passes: Literal["auto", "fixed"] = "auto"
    """auto makes up to twice as many passes while they help on held-out states, and down to a quarter when they do not;
    fixed makes those of n_epochs. Trees, students with a memory, and runs with another objective, a gate, rewards or
    left-out episodes always have fixed ones."""
    batch_size: int = 256
    """States in one minibatch."""
    acting: Literal["alternate", "sample", "mode"] = "alternate"
    """How the student acts while collecting: sample from its distribution, act by its mode, or alternate between both,
    a rollout each, and only by its mode from half of timesteps on. Sampling shows mistakes to learn from, the mode
    shows the states that it will be judged on. Other objectives, the gate and compress alternate to the end."""
    learning_rate: float = 3e-3
    """Adam's step size at the start; it falls along a cosine to a hundredth of that. At this default, perceptrons with
    passes=auto take three times as much, layers wider than 64 units less in proportion, down to the default at 192; any
    other value is taken as it is."""
    weight_decay: float = 0.0
    """L2 regularisation: this multiple of a weight is added to its gradient; 0 for none. Not for log σ, trees, compress
    and finetune."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    activation: Literal["auto", "tanh", "relu"] = "auto"
    """Non-linearity between the student's layers; auto takes the teacher's own, and tanh where it has no network."""
    observation_keys: tuple[str, ...] = ()
    """Keys of a Dict observation that the student reads; by default all of them."""
    observe: str = ""
    """What the student sees of an observation, separated by commas: 0,2-4 or x,theta for components of a vector, keys
    of a Dict (as observation_keys names them) or speed:0,speed:2 for components of one; by default all of it. The
    teacher may see more."""
    student_wrapper: str = ""
    """A wrapper through which only the student sees its environment, such as pkg:Noisy or pkg:Noisy:std=0.1; in Python
    also a class. The teacher still sees everything."""
    observation_names: str = ""
    """Names of a vector's components, separated by commas: x,x_velocity,theta,theta_velocity. The student keeps them,
    for explain, observe, act by name and C. Names for well-known environments are built in."""
    action_names: str = ""
    """Names of the actions, separated by commas: of the options of a choice, or of the components of an action."""
    control_hz: float = 0.0
    """Actions per second that the student is made for, kept in its file for its deployment; 0 if not given."""
    min_teacher_return: float | None = None
    """Leave out the teacher's episodes with a lower return (of its first rollout; all of them with actor=teacher, those
    of the first half with mixed)."""
    drop_worst: float = 0.0
    """Leave out this share of the teacher's episodes so far, the ones with the lowest return, such as 0.1 for the worst
    tenth."""
    collect_perturb: str = ""
    """Collect states under these conditions too, as for compare --perturb: obs-noise:0.1,sticky:0.25,delay:1. The
    environments take them in turns: the first stays unchanged, the next has the first condition, and so on. The student
    is chosen, measured and proven in the unchanged environment."""
    normalize: Literal["auto", "none"] = "auto"
    """auto copies the teacher's VecNormalize statistics into the student, or measures them on the teacher's first
    rollout where the teacher has none."""
    monitor: bool = False
    """Play 300 more episodes at the end, and keep the range of their observations in the student's file: it can then
    say how novel an observation is."""
    eval_episodes: int = 300
    """Most episodes for the proof, on paired seeds that training never used. It ends as soon as its verdict is clear,
    after about 75 if a student equals its teacher. 0 skips it, and the selection before it."""
    select_episodes: int = 10
    """Episodes on which a student is judged, five times in a run, to keep the best; their seeds are neither the
    training's nor the proof's. 0 keeps the last student."""
    eval_seed: int = PROOF
    """Episode i of the proof starts from reset(seed=eval_seed + i)."""
    worst_loss: float = 0.0
    """The most that one episode is assumed to lose, in units of the teacher's gain over random. The proof rests on it:
    an episode that loses more leaves the verdict undecided. 0 for a tenth more than the worst random episode loses."""
    max_episode_steps: int = 0
    """Steps after which an evaluation episode is stopped, and counts with its return so far; 0 for the environment's
    registered limit, or 27,000 without one."""
    sampled_teacher: bool = True
    """Also run the teacher by sampling, on at most 100 of the proof's episodes, and say if that is better than its
    mode. Skipped for teachers without a distribution (DQN, TD3, ...)."""
    n_eval_envs: int = 16
    """Environments stepped side by side in the proof."""
    checkpoint_every: int = 50_000
    """Environment steps between checkpoints in the run folder; 0 for none by steps. An interruption and the end of the
    collection always write one."""
    checkpoint_minutes: float = 0.0
    """Minutes between checkpoints; 0 for none by time."""
    keep_checkpoints: int = 3
    """The newest checkpoints to keep: a broken one falls back to the one before."""
    max_recoveries: int = 3
    """How many times training may go back to the last good student, at a tenth of the learning rate, when its loss or
    gradient is not finite."""
    env_restarts: int = 0
    """How many times in a run an environment may be restarted after it raised, hung or returned an invalid observation;
    one failure more stops the run. While collecting it starts its next episode, elsewhere the same one again. A vector
    environment that you pass in cannot be restarted."""
    env_timeout: float = 120.0
    """Seconds that one step or reset of the environments may take before they count as hung; 0 for no limit."""
    device: str = "cpu"
    """Where the student trains: cpu, cuda, ..."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the layers while a student of images trains, or any student on a GPU. bfloat16 is faster where
    the processor has it; weights, labels and the loss stay float32. Other students always train in float32."""

    def __post_init__(self) -> None:
        """Check every type and range, so that a wrong value fails before the first environment step."""
        values = vars(self)
        check_numbers(self)
        for name in ("sampled_teacher", "value_gate", "monitor"):
            require_setting(isinstance(values[name], bool), name, "true or false", values[name])
        require_setting(isinstance(self.loss, str), "loss", "a name", self.loss)
        written = isinstance(self.collect_perturb, str)
        require_setting(written, "collect_perturb", "conditions separated by commas", self.collect_perturb)
        whole = self.buffer == "aggregate" or (self.min_teacher_return is None and self.drop_worst == 0)
        require_setting(whole, "buffer", "aggregate to leave out episodes, which end rollouts later", self.buffer)
        for name in ("observation_names", "action_names"):
            require_setting(isinstance(values[name], str), name, "names separated by commas", values[name])
        one = isinstance(self.observe, str) and not (self.observe and self.observation_keys)
        require_setting(one, "observe", "names separated by commas, without observation_keys beside them", self.observe)
        require_setting(
            not self.observe or bool(_names_in(self.observe)), "observe", "names of what is seen", self.observe
        )
        named = isinstance(self.student_wrapper, str) or callable(self.student_wrapper)
        require_setting(named, "student_wrapper", "a name such as pkg:Noisy, or a class", self.student_wrapper)
        require_setting(
            self.n_envs <= MAX_ENVS and self.n_eval_envs <= MAX_ENVS, "n_envs", f"at most {MAX_ENVS}", self.n_envs
        )
        for names, fits, words in RANGES:
            for name in names:
                require_setting(fits(values[name]), name, words, values[name])
        for name, choices in CHOICES.items():
            require_setting(values[name] in choices, name, "one of " + ", ".join(choices), values[name])

    @property
    def rollout_size(self) -> int:
        """States in one rollout."""
        return self.n_envs * self.n_steps

    @property
    def observed(self) -> tuple[str, ...]:
        """What the student sees, by name; nothing where that is all."""
        return tuple(self.observation_keys) or _names_in(self.observe)

    @property
    def named(self) -> tuple[str, ...]:
        """What the components of a vector are called; nothing where nobody said it."""
        return names_between_commas(self.observation_names)

    @property
    def named_actions(self) -> tuple[str, ...]:
        """What actions are called; nothing where nobody said it."""
        return names_between_commas(self.action_names)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**dataclasses.asdict(self), "observation_keys": list(self.observation_keys)}


def make_config(config: DistillConfig | None, overrides: dict[str, Any]) -> DistillConfig:
    """Return `config` (or the defaults) with `overrides` applied; see `with_overrides`."""
    return with_overrides(config or DistillConfig(), overrides, "distill")


def names_between_commas(text: str) -> tuple[str, ...]:
    """Return names that are separated by commas; an empty one stays one, so that it is missed by nobody."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _names_in(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
