"""docs/suite.md is run as it stands, with fewer steps and trials."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from policy_distill.cli import _parse, main
from policy_distill.run.suite.grid import KEYS as GRID
from policy_distill.run.suite.grid import OF_COMPRESS, grid_of
from policy_distill.run.suite.grid_cells import CellTracking, cells_of
from policy_distill.run.suite.grid_teachers import KEYS as TEACHER
from policy_distill.run.suite.ray_cells import LOOPBACK

PAGE = (Path(__file__).parents[2] / "docs" / "suite.md").read_text()
QUICK = {
    "timesteps": 512,
    "stop": "never",
    "n_envs": 4,
    "n_steps": 32,
    "n_epochs": 2,
    "eval_episodes": 3,
    "select_episodes": 2,
}


def quick(grid):
    """Return a grid with few steps and one seed."""
    made = {**grid, "seeds": grid.get("seeds", [0])[:1], "students": grid["students"][:1]}
    made["distill"] = {**grid["distill"], **QUICK}
    return made


# What Tune and Optuna warn of is theirs.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_what_the_page_on_suites_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    blocks = [block for block in re.findall(r"```(bash|python|yaml)\n(.*?)```", PAGE, flags=re.DOTALL)]
    assert [language for language, _ in blocks].count("yaml") == 3
    for language, code in blocks:
        if language == "yaml":
            name = re.match(r"# (\S+)\n", code)[1]
            (tmp_path / name).write_text(yaml.safe_dump(quick(yaml.safe_load(code))))
        elif language == "bash":
            for line in code.splitlines():
                # What these would run are tests of their own.
                listed = " --dry-run" if "--backend ray" in line or "all.yaml" in line else ""
                words = line.replace("--trials 20", "--trials 1").replace("--out", "--track disabled --out") + listed
                assert main(shlex.split(words)[1:]) == 0, f"{line}\n{capfd.readouterr().err}"
        elif "ray" not in code:
            exec(code.replace('"students": ["mlp:8"]', f'"students": ["mlp:8"], "distill": {QUICK}'), {})
    proven = [path.relative_to(tmp_path / "runs") for path in (tmp_path / "runs").rglob("evaluation.json")]
    runs = {path.as_posix() for path in proven if ".trials" not in path.parts}
    for folder in ("suite", "python", "search"):
        assert any(path.startswith(f"{folder}/") for path in runs), folder


def test_the_commands_of_all_cells_are_understood(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    code = re.search(r"```yaml\n(# all.yaml.*?)```", PAGE, flags=re.DOTALL)[1]
    cells = cells_of(grid_of(yaml.safe_load(code)), tmp_path, CellTracking("offline", "all", "mine", ("one", "two")))
    made = [_parse([*cell.words[3:], "--out", str(cell.folder), "--resume"]) for cell in cells]
    assert [type(one).__name__ for one in made] == ["Distill", "Finetune", "Compress"]
    assert [one.config.seed for one in made] == [3] * 3
    assert made[2].students == ("mlp:4", "mlp:8")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_search_with_tune_works_as_written_and_is_restored(zoo, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "ray" in block)
    few = ", ".join(f'"{name}": {value!r}' for name, value in QUICK.items() if name != "timesteps")
    code = code.replace("STEPS = 20_000", "STEPS = 640").replace('"timesteps": STEPS', f'"timesteps": STEPS, {few}')
    code = code.replace("num_samples=4", "num_samples=2")
    names: dict = {}
    # Of its own: another process that tests may have a cluster on this machine.
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address=LOOPBACK)
    try:
        exec(code.replace('name="lander"', f'name="lander", storage_path={str(tmp_path / "tune")!r}, verbose=0'), names)
        results = names["tuner"].get_results()
        assert not results.errors
        for result in results:
            steps = list(result.metrics_dataframe["env_steps"])
            assert steps == sorted(set(steps)), "one report for each student that was judged"
            assert steps[0] == 128
        assert (tmp_path / "runs" / "tuned" / "evaluation.json").is_file()
        assert (
            names["result"].student.metadata["provenance"]["config"]["learning_rate"]
            == names["best"].config["learning_rate"]
        )
        train = names["trainable"]("ppo-LunarLander-v2", **names["settings"])
        assert len(names["tune"].Tuner.restore(str(tmp_path / "tune" / "lander"), train).fit()) == 2
    finally:
        ray.shutdown()


def test_the_page_names_every_key_of_a_grid():
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    for key in (*GRID, *TEACHER):
        assert f"`{key}`" in rows, key
    assert set(OF_COMPRESS) >= {"retention"}
    with pytest.raises(ValueError, match="teachers"):
        grid_of({})
