import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
import yaml

from experiments import suite
from experiments.results import Results, main
from experiments.suite import names_of_experiments
from policy_distill.config import DistillConfig
from policy_distill.environments.make import make_env
from policy_distill.environments.perturbations.conditions import parse_conditions
from policy_distill.errors import RequestError
from policy_distill.teachers.train import ALGORITHMS, train_teacher
from policy_distill.tracking.metrics import METRICS
from tests.run.suite.doubles import Told, write_product
from tests.run_folders import write_run

ROOT = Path(__file__).parents[2]
EXPERIMENTS = names_of_experiments()
# One of each kind is run from end to end; they share all their code.
RUN = ["cartpole", "lunar_lander_continuous", "half_cheetah", "pixel_catch"]
QUICK = ["--timesteps", "512", "--n-steps", "32", "--eval-episodes", "3", "--select-episodes", "2"]
QUIET = ["--track", "disabled"]


def run(name, *arguments, **variables):
    command = [sys.executable, "-m", f"experiments.{name}", *arguments]
    # One thread each, as elsewhere in the tests: several on few cores wait for each other.
    env = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=env)


def tiny_teacher(name, path):
    env_id = importlib.import_module(f"envs.{name}").ENV_ID
    return train_teacher(env_id, "ppo", 32, (8,), 0, path, n_envs=2, hyperparameters={"n_steps": 16, "batch_size": 16})


def test_there_is_a_script_for_every_environment():
    assert {path.stem for path in (ROOT / "envs").glob("*.py")} - {
        "__init__",
        "teacher",
        "variants",
        "mujoco_variants",
        "gravity_lander",
        *("minatar_breakout", "small_cnn", "pong", "atari_teachers"),
    } == set(EXPERIMENTS)
    assert len(EXPERIMENTS) == 12


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_how_it_is_run(name):
    text = importlib.import_module(f"experiments.{name}").__doc__
    assert f"python -m experiments.{name} " in text


# With one environment in place of many, a rollout is smaller than a batch.
@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_recipe_names_what_its_algorithm_knows(name):
    env = importlib.import_module(f"envs.{name}")
    made = make_env(env.ENV_ID)
    recipe = env.TEACHER
    kwargs = dict(recipe.hyperparameters)
    policy_kwargs = {"net_arch": list(recipe.net_arch), **kwargs.pop("policy_kwargs", {})}
    policy = "CnnPolicy" if name == "pixel_catch" else "MlpPolicy"
    model = ALGORITHMS[recipe.algo](policy, made, policy_kwargs=policy_kwargs, device="cpu", **kwargs)
    assert model.n_envs == 1
    if recipe.algo == "ppo" and "batch_size" in kwargs:
        assert kwargs.get("n_steps", 2048) * recipe.n_envs % kwargs["batch_size"] == 0
    assert parse_conditions(env.PERTURB)
    made.close()


# Episodes may end before friction is felt; what follows is as good to tell physics apart.
@pytest.mark.filterwarnings("ignore:.*You are calling 'step")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_variants_have_the_same_spaces_and_another_physics(name):
    env = importlib.import_module(f"envs.{name}")
    base = make_env(env.ENV_ID)
    for variant in env.VARIANTS:
        other = make_env(variant)
        assert other.observation_space == base.observation_space
        assert other.action_space == base.action_space
        assert other.spec.max_episode_steps == base.spec.max_episode_steps
        rewards = []
        for one in (base, other):
            one.reset(seed=3)
            one.action_space.seed(3)
            total = [one.step(one.action_space.sample())[0].tolist() for _ in range(60)]
            rewards.append(total)
        assert rewards[0] != rewards[1], f"{variant} moves as {env.ENV_ID} does"
        other.close()
    base.close()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_sweeps_parameters_are_settings_of_its_experiment(name):
    sweep = yaml.safe_load((ROOT / "experiments" / "sweeps" / f"{name}.yaml").read_text())
    config = importlib.import_module(f"experiments.{name}").Config
    known = {field.name for field in dataclasses.fields(config)} | {f.name for f in dataclasses.fields(DistillConfig)}
    assert set(sweep["parameters"]) <= known
    # Not the proof's episodes, which are looked at once, and not the luck of a training seed.
    assert sweep["metric"] == {"name": "eval/selection_retention", "goal": "maximize"}
    assert sweep["metric"]["name"] in METRICS
    assert set(sweep["parameters"]["seeds"]) == {"value"}
    assert f"experiments.{name}" in sweep["command"]
    assert (ROOT / sweep["program"]).is_file()
    assert sweep["parameters"]["out"]["value"] != str(config.out)


@pytest.mark.slow
def test_a_sweeps_command_line_works_as_an_agent_makes_it(tmp_path):
    from wandb.sdk.launch.sweeps import utils

    sweep = yaml.safe_load((ROOT / "experiments" / "sweeps" / "cartpole.yaml").read_text())
    tiny_teacher("cartpole", tmp_path / "teacher.zip")
    chosen = {"teacher": str(tmp_path / "teacher.zip"), "out": str(tmp_path / "sweep"), "student": "mlp:4"}
    chosen |= {"timesteps": 512, "learning_rate": 0.002, "n_epochs": 4, "seeds": 1}
    assert set(chosen) == set(sweep["parameters"])
    arguments = utils.create_sweep_command_args({"args": {name: {"value": value} for name, value in chosen.items()}})
    command = utils.create_sweep_command([part for part in sweep["command"] if part != "${env}"])
    at = command.index("${args}")
    words = [*command[:at], *arguments["args"], *command[at + 1 :]]
    words = [sys.executable if word == "${interpreter}" else word for word in words]
    words[words.index("online")] = "offline"
    env = {**os.environ, "WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1", "WANDB_MODE": "offline"}
    words += ["--n-steps", "32", "--eval-episodes", "3", "--select-episodes", "2"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=env, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "sweep" / "r1" / "seed-1" / "config.json").read_text())
    assert (config["student"], config["config"]["learning_rate"]) == ("mlp:4", 0.002)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_an_experiment_runs_from_a_teacher_to_one_student_a_seed(name, tmp_path):
    tiny_teacher(name, tmp_path / "teacher.zip")
    arguments = ["--teacher", str(tmp_path / "teacher.zip"), "--out", str(tmp_path / "run"), "--seeds", "0", "1"]
    done = run(name, *arguments, *QUICK, *QUIET, *(["--perturb"] if name == "cartpole" else []))
    assert done.returncode == 0, done.stderr
    for seed in (0, 1):
        folder = tmp_path / "run" / f"seed-{seed}"
        assert json.loads((folder / "config.json").read_text())["config"]["seed"] == seed
        assert (folder / "student.safetensors").exists()
        assert (folder / "report.html").exists()
    if name == "cartpole":
        tried = json.loads((tmp_path / "run" / "seed-0" / "perturbed.json").read_text())
        assert {"none", "sticky:0.25", "CartPoleLongPole-v1"} <= set(tried)
        assert "Under perturbations" in (tmp_path / "run" / "seed-0" / "report.html").read_text()
        assert "CartPoleLongPole-v1" in done.stdout
        again = run(name, *arguments, *QUICK, *QUIET, "--resume")
        assert again.stdout.count("is done") == 2


@pytest.mark.slow
def test_an_experiment_trains_its_own_teacher_in_the_same_dashboard(tmp_path):
    arguments = ["--out", str(tmp_path / "run"), "--teacher-timesteps", "2048", *QUICK]
    done = run("cartpole", *arguments)
    assert done.returncode == 0, done.stderr
    assert "seconds training the teacher" in done.stdout
    assert '"rollout/teacher_return"' in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert (tmp_path / "run" / "seed-0" / "wandb").is_dir()
    again = run("cartpole", *arguments, *QUIET)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.slow
def test_a_suite_survives_a_failed_cell_goes_on_and_ends_in_a_table_and_a_report(tmp_path):
    out = tmp_path / "suite"
    options = "--timesteps 512 --n-steps 32 --eval-episodes 3 --select-episodes 2 --teacher-timesteps 512"
    arguments = ["--envs", "cartpole", "--out", str(out), f"--options={options}", "--seeds", "0"]
    done = run("suite", *arguments, "--students", "mlp:4", "mlp:none")
    assert done.returncode == 1, done.stderr
    assert "cartpole mlp:none seed 0  failed" in done.stderr
    assert "mlp:none" in (out / "cartpole" / "mlp-none" / "seed-0.log").read_text()
    assert (out / "report.html").stat().st_size < 2_000_000
    assert "CartPole-v1  teacher.zip  mlp:4" in done.stdout
    assert (out / "wandb").is_dir(), "the suite's own table"
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("student.safetensors")}
    assert len(stamps) == 1
    done = run("suite", *arguments, *QUIET, "--students", "mlp:4", "mlp:3")
    assert done.returncode == 0, done.stderr
    assert "mlp:4 seed" not in done.stdout, "what is done is left alone"
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert len(list(out.rglob("student.safetensors"))) == 2


def test_results_are_made_from_run_folders(tmp_path, capsys):
    for student, loss in (("mlp:8", 0.02), ("mlp:4", 0.3)):
        for seed in range(3):
            write_run(tmp_path / "suite" / f"{student}-{seed}", student=student, seed=seed, loss=loss, n_episodes=200)
    write_run(tmp_path / "suite" / "alone", student="mlp:2")
    main(Results((tmp_path / "suite",), tmp_path / "RESULTS.md"))
    text = (tmp_path / "RESULTS.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| Lander")]
    assert [row[2] for row in rows] == ["mlp:4", "mlp:8"]
    small, large = rows
    assert small[4] == "0.699, range 0.697 to 0.702"
    assert large[4].startswith("0.979, range 0.97")
    assert (small[6], large[6]) == ("0 of 3", "3 of 3")
    assert large[8:11] == ["80", "62.5", "30,000"]
    assert "1 students of fewer than 3" in text
    assert "6 runs on 1 environments: 0.839" in text
    with pytest.raises(RequestError, match=r"experiments\.suite"):
        main(Results((tmp_path / "suite" / "alone",), tmp_path / "none.md"))


def test_a_run_that_cannot_be_read_costs_neither_the_results_nor_the_suites_report(tmp_path, monkeypatch, capsys):
    for seed in range(4):
        write_run(tmp_path / "suite" / "cartpole" / "mlp-8" / f"seed-{seed}", seed=seed)
    (tmp_path / "suite" / "cartpole" / "mlp-8" / "seed-3" / "evaluation.json").write_text('{"student": []}')
    main(Results((tmp_path / "suite",), tmp_path / "RESULTS.md"))
    text = (tmp_path / "RESULTS.md").read_text()
    assert "3 runs on 1 environments" in text
    assert "seed-3: evaluation.json, student: expected an object, found a list" in text
    assert "seed-3 is left out" in capsys.readouterr().err
    monkeypatch.setattr(suite, "backend_of", lambda settings: Told(write_product))
    assert suite.main(suite.Suite("cartpole", ("mlp:8",), "0,1,2,3", tmp_path / "suite")) == 1
    assert "Unreadable runs" in (tmp_path / "suite" / "report.html").read_text()
    assert (tmp_path / "suite" / "wandb").is_dir(), "the others are tracked"


@pytest.mark.parametrize(
    ("words", "message"), [(["--envs", "pong"], "experiments among"), (["--envs", "cartpole", "--seeds", "x"], "0,1,2")]
)
def test_a_wrong_suite_is_refused(words, message, tmp_path):
    done = run("suite", *words, "--out", str(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr


def test_variants_are_registered_by_importing_their_environment():
    assert "CartPoleLongPole-v1" in gymnasium.registry


def test_a_suites_cells_write_below_where_it_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo" / "qrdqn-CartPole-v1").mkdir(parents=True)
    backend = Told(lambda cell: 1)
    monkeypatch.setattr(suite, "backend_of", lambda settings: backend)
    with pytest.raises(RequestError, match="no cell"):
        suite.main(suite.Suite("cartpole", ("mlp:4",), "0", Path("mine"), Path("zoo"), track="disabled"))
    for words in [cell.command() for cell in backend.started]:
        assert words[words.index("--out") + 1].startswith(str(tmp_path / "mine"))
        if "--teacher" in words:
            assert words[words.index("--teacher") + 1].startswith(str(tmp_path))
    assert backend.started
