"""Makes one environment from its name, and says what to do where that fails."""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import DependencyNotInstalled
from gymnasium.error import Error as GymnasiumError

from policy_distill.errors import RequestError

LOG = logging.getLogger("policy_distill")


def make_env(env: str | EnvSpec) -> gymnasium.Env[Any, Any]:
    """Return the environment of a Gymnasium id or spec.

    Raises:
        RequestError: for an unknown or retired id, with the nearest, or a package that is missing.
    """
    _register_atari(env if isinstance(env, str) else env.id)
    try:
        # The checker wraps each step in checks of what Gymnasium's own environments already promise, at twice the cost.
        with _quiet_mujoco(env), warnings.catch_warnings():
            # Gymnasium warns of a retired id and then refuses it; the refusal says it all.
            warnings.filterwarnings("ignore", message=".*is out of date", category=DeprecationWarning)
            return gymnasium.make(env, disable_env_checker=True)
    except DependencyNotInstalled as error:
        raise RequestError(f"{env} needs a package: {_line(error)}, or pip install 'policy-distill[all]'") from None
    except (GymnasiumError, ImportError) as error:
        named = env if isinstance(env, str) else env.id
        newest = successor(named)
        near = [newest] if newest else difflib.get_close_matches(named, gymnasium.registry, n=3, cutoff=0.6)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise RequestError(
            f"expected a registered Gymnasium environment, found {named!r} ({_line(error)[:160]}){hint}"
        ) from None


def successor(env_id: str) -> str | None:
    """Return the newest registered version of an environment, where it is another than `env_id`."""
    _register_atari(env_id)
    name, _, version = env_id.rpartition("-v")
    versions = [spec.version for spec in gymnasium.registry.values() if spec.id.rpartition("-v")[0] == name]
    newest = max((number for number in versions if number is not None), default=None)
    return None if newest is None or str(newest) == version else f"{name}-v{newest}"


def is_registered(env_id: str) -> bool:
    """Say whether Gymnasium knows an environment of that id."""
    _register_atari(env_id)
    return env_id in gymnasium.registry


def _register_atari(env_id: str) -> None:
    """Make Atari's environments known, which its package leaves to whoever uses them."""
    if not (env_id.startswith("ALE/") or "NoFrameskip" in env_id) or env_id in gymnasium.registry:
        return
    try:
        import ale_py
    except ImportError:
        raise RequestError(f"{env_id} needs Atari: pip install 'policy-distill[atari]'") from None
    gymnasium.register_envs(ale_py)


@contextmanager
def _quiet_mujoco(env: str | EnvSpec) -> Iterator[None]:
    """Hold back what MuJoCo says of a model's file: it says so for every environment, and in a file where one works."""
    spec = gymnasium.registry.get(env) if isinstance(env, str) else env
    if spec is None or "mujoco" not in str(spec.entry_point):
        yield
        return
    try:
        import mujoco
    except ImportError:
        # Gymnasium says what to install.
        yield
        return
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(LOG.debug)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def _line(error: Exception) -> str:
    return " ".join(str(error).replace("`", "").split())
