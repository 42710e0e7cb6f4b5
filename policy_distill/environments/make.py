"""Makes one environment from its name, and says what to do where that fails."""

from __future__ import annotations

import difflib
import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import DependencyNotInstalled
from gymnasium.error import Error as GymnasiumError

from policy_distill.environments.identity import identify
from policy_distill.errors import RequestError
from policy_distill.system.foreign import asked

LOG = logging.getLogger("policy_distill")


def make_env(env: str | EnvSpec) -> gymnasium.Env[Any, Any]:
    """Return the environment of a Gymnasium id or spec.

    Raises:
        RequestError: for an unknown or retired id, with the nearest, or a package that is missing.
    """
    named = _known(env) if isinstance(env, str) else env
    _register_atari(named if isinstance(named, str) else named.id)
    try:
        # The checker wraps each step in checks of what Gymnasium's own environments already promise, at twice the cost.
        with _quiet_mujoco(named), warnings.catch_warnings():
            # Gymnasium warns of a retired id and then refuses it; the refusal says it all.
            warnings.filterwarnings("ignore", message=".*is out of date", category=DeprecationWarning)
            return gymnasium.make(named, disable_env_checker=True)
    except DependencyNotInstalled as error:
        raise RequestError(f"{env} needs a package: {_line(error)}, or pip install 'policy-distill[all]'") from None
    except (GymnasiumError, ImportError) as error:
        raise unknown(named if isinstance(named, str) else named.id, error) from None
    except (TypeError, ValueError, AssertionError) as error:
        kwargs = {} if isinstance(named, str) else identify(named).own_kwargs
        if not kwargs:
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
        raise RequestError(f"the environment refuses {given}: {_line(error)[:200]}") from None


def spec_of(env: str) -> EnvSpec:
    """Return the specification that is registered under an id, which may name its package.

    Raises:
        RequestError: for an unknown id, with the nearest, or a package that cannot be imported.
    """
    env_id = _known(env)
    _register_atari(env_id)
    spec = gymnasium.registry.get(env_id)
    if spec is None:
        raise unknown(env_id)
    return spec


def unknown(env_id: str, error: Exception | None = None) -> RequestError:
    """Return the refusal of an id that is not registered or cannot be made, with what is near."""
    near = versions_of(env_id) or difflib.get_close_matches(env_id, gymnasium.registry, n=3, cutoff=0.6)
    known = f"nearest: {', '.join(near)}; " if near else ""
    hint = f"; {known}--env pkg:Id or --gym-packages pkg imports its package"
    reason = f" ({_line(error)[:160]})" if error else ""
    return RequestError(f"expected a registered Gymnasium environment, found {env_id!r}{reason}{hint}")


def import_package(name: str) -> Any:
    """Import a package that registers environments, or holds a wrapper; its name may come from a file.

    Raises:
        RequestError: for what is no package's name, is Python's own, is not there, or fails while it is imported.
    """
    if not all(part.isidentifier() for part in name.split(".")) or name.partition(".")[0] in sys.stdlib_module_names:
        raise RequestError(f"expected the name of a package that registers environments, found {name[:80]!r}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise RequestError(
                f"no package {name!r} is installed here or is in the working folder; install it, or run the command "
                "in its folder"
            ) from None
        raise RequestError(f"the package {name} cannot be imported ({_line(error)}); install what it needs") from None
    except (Exception, SystemExit) as error:
        raise RequestError(
            f"the package {name} cannot be imported ({type(error).__name__}: {_line(error)[:160]}); fix it"
        ) from None


def makes_environments(env: Any) -> bool:
    """Say whether `env` is called for an environment, and is none itself."""
    return isinstance(env, type) or (callable(env) and asked(env, "step") is None)


def versions_of(env_id: str) -> list[str]:
    """Return all other versions of an environment that can be made, the newest first."""
    env_id = env_id.rpartition(":")[2]
    _register_atari(env_id)
    name = env_id.rpartition("-v")[0]
    found = [spec for spec in gymnasium.registry.values() if spec.id.rpartition("-v")[0] == name and spec.id != env_id]
    newest_first = sorted(found, key=lambda spec: spec.version or 0, reverse=True)
    return [spec.id for spec in newest_first if not _moved(spec)] if name else []


def _moved(spec: EnvSpec) -> bool:
    """Say whether an id is registered only to say that its environment has gone."""
    point: Any = spec.entry_point
    # Gymnasium keeps such ids with a function that only raises; all its environments are classes.
    if isinstance(point, str | type) or not str(asked(point, "__module__", "")).startswith("gymnasium."):
        return False
    try:
        point()
    except ImportError:
        return True
    except Exception:
        return False
    return False


def version_of(env_id: str) -> int:
    """Return the number behind `-v`; 0 where there is none."""
    number = env_id.rpartition("-v")[2]
    return int(number) if number.isdecimal() else 0


def _known(env: str) -> str:
    """Return the id of `package:id` once the package is imported."""
    package, _, env_id = env.rpartition(":")
    if package:
        import_package(package)
    return env_id


def successor(env_id: str) -> str | None:
    """Return the newest registered version of an environment, where it is another than `env_id`."""
    newest = next(iter(versions_of(env_id)), None)
    return newest if newest and version_of(newest) > version_of(env_id) else None


def is_registered(env_id: str) -> bool:
    """Say whether Gymnasium knows an environment of that id, and can still make it."""
    env_id = env_id.rpartition(":")[2]
    _register_atari(env_id)
    return env_id in gymnasium.registry and not _moved(gymnasium.registry[env_id])


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


def _line(error: BaseException) -> str:
    return " ".join(str(error).replace("`", "").split())
