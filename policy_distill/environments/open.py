"""Environments by any name: a Gymnasium id, an EnvSpec, a callable, one environment, or a vector of them.

In: what the user calls the environment. Out: `Environments`, stepped side by side in one process, each of which can
be restarted from a seed of its own. What cannot be taken apart is adapted in `vectors.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from policy_distill.environments.faults import EnvFaults, Misbehaviour, reason_of
from policy_distill.environments.identity import EnvIdentity, identify, identify_made
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.make import make_env, makes_environments, spec_of
from policy_distill.environments.restarts import Restarts
from policy_distill.environments.wrappers import apply_wrappers, missing_in, names_of
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.interfaces.stepping import Environments
from policy_distill.system.blame import blamed
from policy_distill.system.foreign import asked, held_by

ALONE = (
    "where only one instance may exist: --n-envs 1 (and --n-eval-envs 1), or pass one from Python: distill(teacher, "
    "env)"
)
"""What to do where a second environment cannot be made beside the first."""
ADVICE = f"fix the environment, or the arguments that it is given; {ALONE}"


def open_environments(
    env: Any, n_envs: int, wrappers: Sequence[WrapperSpec] = (), restarts: Restarts | None = None
) -> Environments:
    """Return environments for anything that names them; given vector environments keep their own number.

    `wrappers` are put around environments that are made here, unless a callable's have them; what is handed over stays
    as it is. A student's own are put around whatever is made, and what is handed over must have them.
    `restarts` are those that may be made of them, during a run: one that cannot be made there is a fault of it.

    Raises:
        RequestError: where `env` is unknown, cannot be made, or is not an environment.
        RunFault: where one of them could not be made during a run.
    """
    _check_own(env, wrappers)
    if isinstance(env, str | EnvSpec):
        named = env

        def make() -> gymnasium.Env[Any, Any]:
            return apply_wrappers(make_env(named), list(wrappers))

        def again(index: int) -> gymnasium.Env[Any, Any]:
            return apply_wrappers(make_env(spec), list(wrappers))

        made = _make_all(_name(named), make, n_envs, restarts)
        # Whoever makes one elsewhere may not have imported what registers it.
        spec = spec_of(named) if isinstance(named, str) else named
        return EnvironmentList(made, make=again, restarts=restarts, identity=identify(named))
    if isinstance(env, gymnasium.Env):
        known_as = identify_made(env, beside=names_of(wrappers))
        return EnvironmentList([env], owned=False, restarts=restarts, identity=known_as)
    # Looked up in the object itself: a wrapper passes attributes through, and would be lost if taken apart.
    members = held_by(env).get("envs")
    if isinstance(members, list | tuple) and members and all(isinstance(member, gymnasium.Env) for member in members):
        known_as = identify_made(members[0], beside=names_of(wrappers))
        return EnvironmentList(list(members), owned=False, restarts=restarts, identity=known_as)
    if asked(env, "step_async") is not None or isinstance(env, gymnasium.vector.VectorEnv):
        from policy_distill.environments.vectors import adapt

        return adapt(env, names_of(wrappers))
    if callable(env):
        known: list[EnvIdentity] = []
        names = names_of(wrappers)

        def call() -> gymnasium.Env[Any, Any]:
            made = _call(env)
            known.append(identify_made(made, env, names))
            absent = missing_in(made, list(wrappers))
            return apply_wrappers(made, [one for one in wrappers if one in absent or "entry_point" in one])

        all_made = _make_all(_name(env), call, n_envs, restarts)
        return EnvironmentList(all_made, make=lambda _: call(), restarts=restarts, identity=known[0])
    raise RequestError(
        "expected a Gymnasium id, an EnvSpec, a callable that makes an environment, or a vector environment; "
        f"found {type(env).__name__}"
    )


def _check_own(env: Any, wrappers: Sequence[WrapperSpec]) -> None:
    """Check that what is handed over is as a student sees it; where a teacher looks on, it cannot be."""
    own = [one for one in wrappers if "entry_point" in one]
    if not own or is_recipe(env):
        return
    for one in own:
        if one.get("both") or missing_in(env, [one]):
            already = "" if one.get("both") else f", or environments wrapped in {one['name']} already"
            raise RequestError(
                f"expected an id, an EnvSpec or a callable{already}: the student sees its environment through "
                f"{one['entry_point']}, and an environment that is passed in stays as it is"
            )


def is_recipe(env: Any) -> bool:
    """Say whether `env` tells how environments are made; else it is an environment of the caller's."""
    return isinstance(env, str | EnvSpec) or makes_environments(env)


def without_normalization(env: Any) -> Any:
    """Return a vector without its `VecNormalize`, since teachers and students take raw observations; others as is.

    Wrappers around it stay: shallow copies of them wrap what it wraps.
    """
    if normalization_of(env) is None:
        return env
    if _normalizes(env):
        return env.venv
    # Not copy.copy: SB3's wrappers answer its questions by asking what they do not have yet.
    outer = object.__new__(type(env))
    vars(outer).update({**vars(env), "venv": without_normalization(env.venv)})
    return outer


def normalization_of(env: Any) -> Any:
    """Return the `VecNormalize` in a vector environment's chain of wrappers; None where there is none."""
    while "venv" in held_by(env):
        if _normalizes(env):
            return env
        env = env.venv
    return None


def _normalizes(env: Any) -> bool:
    # In its own attributes: SB3's wrappers answer for what they wrap.
    return "norm_obs" in vars(env) and "ret_rms" in vars(env)


def _make_all(
    name: str, make: Callable[[], gymnasium.Env[Any, Any]], n_envs: int, restarts: Restarts | None
) -> list[gymnasium.Env[Any, Any]]:
    envs: list[gymnasium.Env[Any, Any]] = []
    while restarts is None and len(envs) < n_envs:
        try:
            with blamed(f"{name} cannot be made", ADVICE):
                envs.append(make())
        except RequestError as error:
            if envs:
                raise _too_few(envs, n_envs, error) from error
            raise
    while len(envs) < n_envs:
        try:
            envs.append(make())
        except RequestError:
            raise
        except Exception as error:
            fault = Misbehaviour(len(envs), f"it could not be made ({ALONE}): {reason_of(error)}")
            EnvFaults(name, n_envs, restarts).handle(len(envs), fault)
    return envs


def _too_few(envs: list[gymnasium.Env[Any, Any]], n_envs: int, error: Exception) -> RequestError:
    """Return what to do where one environment could be made and another beside it could not."""
    name = envs[0].spec.id if envs[0].spec else type(envs[0].unwrapped).__name__
    for env in envs:
        env.close()
    made = f"{len(envs)} of {n_envs} environments {name} could be made side by side, and no more"
    # Without the advice that stands behind it already.
    why = str(error).removesuffix(f"; {ADVICE}")
    return RequestError(f"{made}: {why}; {ALONE}")


def _name(env: Any) -> str:
    """Return what to call an environment that is not there yet."""
    if isinstance(env, str):
        return env
    return env.id if isinstance(env, EnvSpec) else f"the environment of {asked(env, '__name__', type(env).__name__)}"


def _call(make: Callable[[], Any]) -> gymnasium.Env[Any, Any]:
    env = make()
    if not isinstance(env, gymnasium.Env):
        raise RequestError(
            f"expected a callable that returns a Gymnasium environment, it returned {type(env).__name__}"
        )
    return env
