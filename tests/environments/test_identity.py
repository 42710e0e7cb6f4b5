"""An environment is recorded whole, and made again as it was: by every command that reads a student or a run."""

import contextlib
import functools
import importlib
import json
import shlex
import sys

import gymnasium
import numpy as np
import pytest
import yaml
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack

from policy_distill import compare, distill, evaluate, load_student, load_teacher
from policy_distill.cli import main
from policy_distill.environments.identity import EnvIdentity, identify, identify_made, identity_from
from policy_distill.environments.names import parse_kwargs, to_env, with_kwargs
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.exporters.states import own_env
from policy_distill.report.read_run import read_run
from policy_distill.run.checkpoints.checkpoint import _check_identity
from tests.dials import forget, write_package, write_teacher

QUICK = {"timesteps": 1024, "n_steps": 64, "n_envs": 4, "eval_episodes": 4, "select_episodes": 0, "n_eval_envs": 4}
OPTIONS = [word for key, value in QUICK.items() for word in (f"--{key.replace('_', '-')}", str(value))]
RIGHT = [2, 2, 1, 0, 1, 0, 1, 0, 2, 1, 1, 0, 0, 2, 2, 0]
"""The way over the ice, where it does not slip."""


class Guide:
    """Knows the way."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.array(RIGHT)[observation], state


def plain_spec(**kwargs):
    """An EnvSpec as a user makes it."""
    spec = gymnasium.spec("FrozenLake-v1")
    return EnvSpec(
        spec.id,
        spec.entry_point,
        reward_threshold=spec.reward_threshold,
        max_episode_steps=spec.max_episode_steps,
        kwargs={**spec.kwargs, **kwargs},
    )


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A run on ice that does not slip, distilled from a specification with arguments."""
    out = tmp_path_factory.mktemp("frozen") / "run"
    spec = plain_spec(is_slippery=False)
    result = distill(load_teacher(Guide(), env=spec), spec, "linear", out=out, **QUICK)
    assert result.evaluation["student"]["mean"] == 1.0
    return out


@pytest.fixture
def dial(tmp_path, monkeypatch):
    """A working folder with the package `dialpack`, nothing of it imported, and a teacher's zip for shift=1."""
    write_package(tmp_path, "dialpack")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    sys.path.append(str(tmp_path))
    import dialpack

    write_teacher(tmp_path / "teacher.zip", dialpack.Dial(), 1)
    anew()
    sys.path.remove(str(tmp_path))
    yield tmp_path
    anew()


def anew():
    forget()
    sys.modules.pop("dialpack", None)


def run(*words):
    anew()
    return main([str(word) for word in words])


def test_the_whole_specification_is_recorded_and_played_again(frozen, capsys):
    record = json.loads((frozen / "config.json").read_text())["env"]
    assert (record["id"], record["kwargs"]) == ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": False})
    assert load_student(frozen / "student.safetensors").metadata["provenance"]["env"] == record
    assert "is_slippery" in (frozen / "report.html").read_text()
    assert main(["evaluate", str(frozen), "--episodes", "5", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["mean"], found["env_id"]) == (1.0, "FrozenLake-v1")
    assert "environment: FrozenLake-v1 (is_slippery=False)" in said.err


def test_an_id_gets_the_arguments_that_the_student_was_distilled_with(frozen, capsys):
    assert main(["evaluate", str(frozen), "--env", "FrozenLake-v1", "--episodes", "5", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["mean"] == 1.0
    assert "environment arguments of the policy: is_slippery=False" in said.err
    student = load_student(frozen / "student.safetensors")
    assert evaluate(student, "FrozenLake-v1", 5).mean == 1.0
    assert evaluate(student, "FrozenLake-v1", 40, env_kwargs={"is_slippery": True}).mean < 1.0


def test_another_environment_than_the_recorded_one_is_said(frozen, capsys, caplog):
    words = ["--episodes", "3", "--json", "--env-kwargs", "is_slippery:True"]
    assert main(["evaluate", str(frozen), *words]) == 0
    assert (
        "the student was distilled in FrozenLake-v1 (is_slippery=False), and acts here in FrozenLake-v1"
        in capsys.readouterr().err + caplog.text
    )
    student = str(frozen / "student.safetensors")
    assert main(["compare", student, student, *words]) == 0
    assert "and acts here in" in capsys.readouterr().err


def test_the_states_of_a_check_come_from_the_same_environment(frozen):
    student = load_student(frozen / "student.safetensors")
    spec = own_env(student)
    assert isinstance(spec, EnvSpec)
    assert spec.kwargs["is_slippery"] is False


def test_a_run_is_not_gone_on_with_in_another_environment(frozen):
    teacher = load_teacher(Guide(), env="FrozenLake-v1")
    with pytest.raises(
        RequestError, match=r"made with env\.kwargs=\{.*'is_slippery': False\}, found \{.*'is_slippery': True\}"
    ):
        distill(teacher, plain_spec(is_slippery=True), "linear", out=frozen, resume=True, **QUICK)
    same = {"env_kwargs": {"is_slippery": False}, "resume": True}
    again = distill(teacher, "FrozenLake-v1", "linear", out=frozen, **same, **QUICK)
    assert again.evaluation["student"]["mean"] == 1.0


def test_a_checkpoint_of_before_the_record_is_gone_on_with():
    now = {"env_id": "A-v0", "env": EnvIdentity("A-v0").to_json(), "config": {}}
    _check_identity({"env_id": "A-v0", "config": {}}, now)
    with pytest.raises(RequestError, match="env_id='B-v0', found 'A-v0'"):
        _check_identity({"env_id": "B-v0", "config": {}}, now)


def test_comparisons_play_what_the_student_was_distilled_in(frozen):
    student = load_student(frozen / "student.safetensors")
    guide = load_teacher(Guide(), env="FrozenLake-v1")
    assert compare(guide, student, "FrozenLake-v1", 10).iqm == pytest.approx(1.0)
    found = compare(guide, student, "FrozenLake-v1", 10, perturb="env:is_slippery=true")
    assert found["none"].student.mean == 1.0
    assert found["env:is_slippery=true"].student.mean < 1.0


def test_a_package_is_recorded_and_found_again_by_every_command(dial, capsys):
    made = ["--teacher", "teacher.zip", "--env", "dialpack:Dial-v0", "--env-kwargs", "shift:1", "--out", "run"]
    assert run("distill", *made, "--student", "linear", *OPTIONS, "--video", "--track", "disabled") == 0
    record = json.loads((dial / "run" / "config.json").read_text())["env"]
    assert (record["id"], record["module"], record["kwargs"]) == ("Dial-v0", "dialpack", {"shift": 1})
    assert (dial / "run" / "video.mp4").stat().st_size > 500
    capsys.readouterr()
    assert run("evaluate", "run", "--episodes", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 10.0
    student = "run/student.safetensors"
    assert run("compare", "teacher.zip", student, "--episodes", 3, "--perturb", "sticky:0.5,env:shift=2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["teacher"]["mean"], found["student"]["mean"]) == (10.0, 10.0)
    assert found["perturbed"]["env:shift=2"]["student"]["mean"] == 0.0
    assert run("export", student, "--format", "numpy", "--out", "arrays", "--states", 64, "--json") == 0
    assert json.loads(capsys.readouterr().out)["parity"]["states"] == "Dial-v0"
    assert run("info", "run") == 0
    assert "shift" in capsys.readouterr().out


@pytest.mark.parametrize("how", [["--env", "dialpack:Dial-v0"], ["--env", "Dial-v0", "--gym-packages", "dialpack"]])
def test_both_ways_to_name_a_package_come_to_the_same_environment(dial, capsys, how):
    assert run("evaluate", "teacher.zip", *how, "--env-kwargs", "shift:1", "--episodes", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 10.0
    assert run("evaluate", "teacher.zip", *how, "--episodes", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 0.0


def test_what_lies_beside_an_agent_says_its_world_to_every_command(dial, capsys):
    write_settings(dial / "args.yml", env="Dial-v0", gym_packages=["dialpack"], env_kwargs=["shift:1"])
    write_settings(dial / "env_kwargs.yml", shift=1, render_mode="rgb_array")
    assert run("evaluate", "teacher.zip", "--episodes", 3, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["mean"] == 10.0
    assert "imported dialpack, which args.yml names" in said.err
    assert run("evaluate", "teacher.zip", "--env", "Dial-v0", "--episodes", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 10.0
    assert run("distill", "--teacher", "teacher.zip", "--out", "run", "--student", "linear", *OPTIONS) == 0
    record = json.loads((dial / "run" / "config.json").read_text())["env"]
    assert (record["id"], record["module"], record["kwargs"]) == ("Dial-v0", "dialpack", {"shift": 1})
    # The student knows its world without the files beside its teacher.
    (dial / "run").rename(dial / "moved")
    student = "moved/student.safetensors"
    capsys.readouterr()
    assert run("evaluate", "moved", "--episodes", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 10.0
    assert run("compare", "teacher.zip", student, "--episodes", 3, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["teacher"]["mean"], found["student"]["mean"]) == (10.0, 10.0)
    assert run("export", student, "--format", "onnx", "--out", "s.onnx", "--states", 64, "--json") == 0
    assert json.loads(capsys.readouterr().out)["parity"]["states"] == "Dial-v0"
    anew()
    import dialpack

    teacher = load_teacher("teacher.zip", env="Dial-v0")
    assert evaluate(teacher, "Dial-v0", 3).mean == evaluate(student, "Dial-v0", 3).mean == 10.0
    assert compare(teacher, student, "Dial-v0", 3, sampled_teacher=False).n_episodes == 3
    assert distill("teacher.zip", "Dial-v0", "linear", **QUICK).comparison.student.mean == 10.0
    assert dialpack


def test_of_arguments_that_its_files_disagree_on_those_given_count_everywhere(dial, capsys):
    write_settings(dial / "args.yml", env="dialpack:Dial-v0", env_kwargs={"shift": 2})
    write_settings(dial / "env_kwargs.yml", shift=3)
    assert run("evaluate", "teacher.zip") == 2
    assert "different values of 'shift'" in capsys.readouterr().err
    right = ["--env-kwargs", "shift:1", "--json"]
    assert run("evaluate", "teacher.zip", "--episodes", 2, *right) == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 10.0
    made = ["--teacher", "teacher.zip", "--out", "run", "--student", "linear", "--track", "disabled"]
    assert run("distill", *made, *OPTIONS, *right) == 0
    assert run("compare", "teacher.zip", "run/student.safetensors", "--episodes", 2, *right) == 0
    anew()
    with pytest.raises(RequestError, match="different values"):
        evaluate("teacher.zip", "dialpack:Dial-v0", 2)
    given = {"env_kwargs": {"shift": 1}}
    assert evaluate("teacher.zip", "dialpack:Dial-v0", 2, **given).mean == 10.0
    assert distill("teacher.zip", "dialpack:Dial-v0", "linear", **QUICK, **given).comparison.teacher.mean == 10.0
    assert compare("teacher.zip", "run/student.safetensors", "dialpack:Dial-v0", 2, **given).n_episodes == 2


def test_arguments_that_a_teacher_does_not_get_are_said(dial, caplog):
    write_settings(dial / "args.yml", env="dialpack:Dial-v0", env_kwargs={"shift": 1})
    sys.path.append(str(dial))
    import dialpack

    teacher = load_teacher("teacher.zip")
    unsaid = "trained with shift=1, and acts here in an environment that does not say its arguments"
    for env, words in (
        (dialpack.Dial, unsaid),
        (dialpack.Dial(), unsaid),
        (gymnasium.spec("Dial-v0"), "trained with shift=1, and acts here without them"),
        (lambda: gymnasium.make("Dial-v0", shift=2), "trained with shift=1, and acts here with shift=2"),
    ):
        caplog.clear()
        evaluate(teacher, env, 1, n_envs=1)
        assert words in caplog.text
        distill(teacher, env, "linear", timesteps=64, n_steps=16, n_envs=2, eval_episodes=0)
        assert caplog.text.count(words) == 2
    caplog.clear()
    evaluate(teacher, "Dial-v0", 1)
    evaluate(teacher, dialpack.Dial, 1, env_kwargs={"shift": 1})
    evaluate(teacher, lambda: gymnasium.make("Dial-v0", shift=1), 1)
    assert "trained with" not in caplog.text


def write_settings(path, **settings):
    path.write_text(yaml.safe_dump(settings))


def test_the_command_of_the_report_makes_the_same_student(dial):
    made = ["--teacher", "teacher.zip", "--env", "dialpack:Dial-v0", "--env-kwargs", "shift:1", "size:(4,)"]
    made += ["--out", "runs/one", "--algo", "ppo", "--trust", "--wrapper", "FlattenObservation", "--student", "linear"]
    assert (
        run("distill", *made, *OPTIONS, "--learning-rate", "0.01", "--loss", "reverse_kl", "--track", "disabled") == 0
    )
    words = shlex.split(read_run(dial / "runs" / "one").command())
    assert words[0] == "policy-distill"
    assert run(*words[1:], "--track", "disabled") == 0
    one, again = (load_student(dial / "runs" / name / "student.safetensors") for name in ("one", "one-again"))
    assert all(np.array_equal(value, again.tensors[name]) for name, value in one.tensors.items())
    assert one.metadata["provenance"] == again.metadata["provenance"]


def test_what_came_from_python_alone_has_no_command_and_the_page_says_why(frozen):
    assert read_run(frozen).command() == ""
    assert "has no command line: its teacher is not a file." in (frozen / "report.html").read_text()


def test_arguments_that_json_would_change_come_back_as_they_were():
    identity = identify(with_kwargs("FrozenLake-v1", {"desc": None, "map": {1: (2, 3)}, "infinity": 1.5}))
    record = json.loads(json.dumps(identity.to_json()))
    assert record["kwargs"]["map"] == {"1": [2, 3]}
    assert identity_from(record) == identity


def test_wrappers_of_a_specification_are_recorded_and_put_on_again(dial):
    sys.path.append(str(dial))
    import dialpack

    spec = gymnasium.spec("Dial-v0")
    wrapper = WrapperSpec("Reward", "dialpack:Reward", {"scale": 3.0})
    wrapped = EnvSpec(spec.id, spec.entry_point, max_episode_steps=7, additional_wrappers=(wrapper,))
    known = identify(wrapped)
    assert known.text == "dialpack:Dial-v0 (wrapped in Reward, max_episode_steps=7)"
    again = identity_from(json.loads(json.dumps(known.to_json())))
    with contextlib.closing(gymnasium.make(to_env(again))) as env:
        assert isinstance(env, dialpack.Reward)
        assert (env.scale, env.spec.max_episode_steps) == (3.0, 7)
    assert identify_made(gymnasium.make(wrapped)).same_as(known)


def test_a_record_runs_no_code_but_that_of_a_wrapper():
    for point in ("os:system", "gymnasium:make", "policy_distill.cli:main", "no_such_package:Wrapper"):
        record = {"name": "W", "entry_point": point, "kwargs": {}}
        said = r"expected the name of a package|expected a Gymnasium wrapper|no package"
        with pytest.raises(RequestError, match=said):
            to_env(EnvIdentity("CartPole-v1", wrappers=(record,)))


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "CartPole-v1",
        {"id": "CartPole-v1"},
        {"literal": "__import__('os').getcwd()"},
        {"literal": "(" * 5000},
        {"id": 3},
        {"kwargs": [1]},
        {"wrappers": [{"name": "W", "entry_point": None, "kwargs": {}}]},
        {"max_episode_steps": "7"},
    ],
)
def test_a_record_that_is_none_is_passed_over(broken):
    whole = EnvIdentity("CartPole-v1").to_json()
    record = {**whole, **broken} if isinstance(broken, dict) and len(broken) == 1 and "id" not in broken else broken
    record = {**whole, "id": 3} if broken == {"id": 3} else record
    assert identity_from(whole) == EnvIdentity("CartPole-v1")
    assert identity_from(record) is None


def test_a_callable_is_recorded_by_what_it_makes(frozen, tmp_path):
    def made():
        return gymnasium.make("FrozenLake-v1", is_slippery=False, render_mode="rgb_array")

    assert identify_made(made()).same_as(identify(plain_spec(is_slippery=False)))
    with contextlib.closing(open_environments(made, 1)) as envs:
        assert envs.identity.own_kwargs == {"is_slippery": False}


class Mystery(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, level=1):
        self.level = level

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, True, False, {}


class Shaped(gymnasium.Wrapper):
    """A wrapper that does not record its arguments."""


@pytest.mark.parametrize(
    ("env", "why"),
    [
        (Mystery, "it is not a registered environment"),
        (functools.partial(Mystery, level=2), "it is not a registered environment"),
        (lambda: Shaped(gymnasium.make("CartPole-v1")), "its wrapper Shaped does not record its arguments"),
        (
            lambda: gymnasium.make("FrozenLake-v1", desc=np.array([b"SF", b"FG"]).view("S1").reshape(2, 2)),
            "desc of the environment is a ndarray",
        ),
        (lambda: VecFrameStack(make_vec_env("CartPole-v1", 2), 2), "it is a vector in VecFrameStack"),
    ],
)
def test_what_cannot_be_made_again_says_so(env, why):
    made = env() if "Vec" in why else env
    with contextlib.closing(open_environments(made, 1)) as envs:
        identity = identity_from(json.loads(json.dumps(envs.identity.to_json())))
    assert why in identity.missing
    with pytest.raises(RequestError, match=r"cannot be made from its record .*--env"):
        to_env(identity)


def test_vectors_are_recorded_by_what_they_hold():
    env_kwargs = {"is_slippery": False}
    for vector in (
        make_vec_env("FrozenLake-v1", 2, env_kwargs=env_kwargs),
        gymnasium.make_vec("FrozenLake-v1", 2, vectorization_mode="sync", **env_kwargs),
    ):
        identity = open_environments(vector, 1).identity
        assert (identity.id, identity.own_kwargs) == ("FrozenLake-v1", env_kwargs)
        vector.close()


def test_arguments_that_were_changed_in_the_registry_itself_are_recorded(dial, capsys):
    sys.path.append(str(dial))
    import dialpack

    assert dialpack
    # Gymnasium hands out the registered specification itself, so that this changes every Dial-v0 of the process.
    gymnasium.spec("Dial-v0").kwargs["shift"] = 1
    teacher = load_teacher("teacher.zip")
    assert distill(teacher, "Dial-v0", "linear", out="run", **QUICK).evaluation["student"]["mean"] == 10.0
    assert run("evaluate", "run", "--episodes", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 10.0


def test_a_teacher_that_is_trained_with_arguments_says_so_beside_its_zip(dial, capsys):
    made = ["--env", "dialpack:Dial-v0", "--env-kwargs", "shift:3", "--net-arch", "8", "--n-envs", 2]
    assert run("train", *made, "--timesteps", 64, "--out", "own/agent.zip") == 0
    note = yaml.safe_load((dial / "own" / "agent" / "args.yml").read_text())
    assert note == {"env": "dialpack:Dial-v0", "env_kwargs": {"shift": 3}}
    capsys.readouterr()
    assert run("evaluate", "own/agent.zip", "--episodes", 2, "--json") == 0
    assert "environment: dialpack:Dial-v0" in capsys.readouterr().err
    # One whose name says it all has nothing beside it.
    assert run("train", "--env", "CartPole-v1", "--net-arch", "8", "--timesteps", 64, "--out", "own/plain.zip") == 0
    assert not (dial / "own" / "plain").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--env", "nowhere:Dial-v0"], "no package 'nowhere' is installed here or is in the working folder"),
        (["--env", "Dial-v0"], "--env pkg:Id or --gym-packages pkg imports its package"),
        (["--env", "os:Dial-v0"], "expected the name of a package that registers environments, found 'os'"),
        (["--env", "Dial-v0", "--gym-packages", "broken"], "the package broken cannot be imported (ZeroDivisionError"),
        (["--env", "dialpack:Dial-v0", "--env-kwargs", "shift"], "expected constructor arguments such as --env-kwargs"),
        (["--env", "dialpack:Dial-v0", "--env-kwargs", "shift:[1,"], "expected a Python literal for shift"),
        (["--env", "dialpack:Dial-v0", "--env-kwargs", "turn:1"], "the environment refuses turn=1"),
        (["--env", "dialpack:Dial-v0", "--env-kwargs", "render_mode:human"], "found render_mode, which gymnasium.make"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_in_one_line(dial, capsys, words, said):
    (dial / "broken.py").write_text("1 / 0\n")
    assert run("evaluate", "teacher.zip", *words, "--episodes", 1) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_values_of_arguments_are_literals_words_or_paths():
    items = [
        "a:-5.0",
        "b:true",
        "c:None",
        "d:[1, (2, 3)]",
        "e:{'x': {'y': 1}}",
        "f:maps/one.txt",
        "g:'8x8'",
        "h:a:b",
        "i:1e-3",
    ]
    expected = {"a": -5.0, "b": True, "c": None, "d": [1, (2, 3)], "e": {"x": {"y": 1}}, "f": "maps/one.txt"}
    assert parse_kwargs(items) == {**expected, "g": "8x8", "h": "a:b", "i": 1e-3}


def test_what_is_registered_as_it_stands_is_found_again_by_the_module_that_registers_it(tmp_path, monkeypatch):
    folder = tmp_path / "dialshelf"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "corner.py").write_text(
        "import gymnasium\nfrom gymnasium.envs.classic_control import PendulumEnv\n"
        "gymnasium.register('ShelfDial-v0', lambda **_: PendulumEnv())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("dialshelf.corner")
    assert identify("ShelfDial-v0").module == "dialshelf.corner"
    gymnasium.registry.pop("ShelfDial-v0")
    for name in ("dialshelf", "dialshelf.corner"):
        sys.modules.pop(name)
    gymnasium.make("dialshelf.corner:ShelfDial-v0").close()
