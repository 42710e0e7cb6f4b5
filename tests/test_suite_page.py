"""docs/suite.md is run as it stands, with fewer steps and trials."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from policy_distill.cli import main
from policy_distill.run.suite.grid import KEYS as GRID
from policy_distill.run.suite.grid import OF_COMPRESS, grid_of
from policy_distill.run.suite.grid_teachers import KEYS as TEACHER

PAGE = (Path(__file__).parent.parent / "docs" / "suite.md").read_text()
QUICK = {"timesteps": 512, "n_envs": 4, "n_steps": 32, "n_epochs": 2, "eval_episodes": 3, "select_episodes": 2}


def quick(grid):
    """Return a grid with few steps and one seed."""
    made = {**grid, "seeds": grid.get("seeds", [0])[:1], "students": grid["students"][:1]}
    made["distill"] = {**grid["distill"], **QUICK}
    if "compress" in grid:
        made["compress"] = {**grid["compress"], **QUICK, "max_episode_steps": 40, "students": ["mlp:2"]}
    if "finetune" in grid:
        made["finetune"] = {**grid["finetune"], **QUICK, "es_pairs": 2, "n_selections": 1}
    return made


# What Tune and Optuna warn of is theirs.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_what_the_page_on_suites_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    pytest.importorskip("ray")
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    blocks = re.findall(r"```(bash|python|yaml)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [language for language, _ in blocks].count("yaml") == 3
    for language, code in blocks:
        if language == "yaml":
            name = re.match(r"# (\S+)\n", code)[1]
            (tmp_path / name).write_text(yaml.safe_dump(quick(yaml.safe_load(code))))
        elif language == "bash":
            for line in code.splitlines():
                words = line.replace("--trials 20", "--trials 2").replace("--out", "--track disabled --out")
                assert main(shlex.split(words)[1:]) == 0, f"{line}\n{capfd.readouterr().err}"
        else:
            few = ", ".join(f'"{name}": {value}' for name, value in QUICK.items() if name != "timesteps")
            code = code.replace('"students": ["mlp:8"]', f'"students": ["mlp:8"], "distill": {QUICK}')
            code = code.replace("STEPS = 20_000", "STEPS = 640").replace(
                '"timesteps": STEPS', f'"timesteps": STEPS, {few}'
            )
            exec(code.replace("num_samples=4", "num_samples=1"), {})
    proven = [path.relative_to(tmp_path / "runs") for path in (tmp_path / "runs").rglob("evaluation.json")]
    runs = {path.as_posix() for path in proven if ".trials" not in path.parts}
    assert len([path for path in runs if path.startswith("all/lander/LunarLander-v3/")]) == 3
    for folder in ("suite", "python", "ray", "search", "tuned"):
        assert any(path.startswith(f"{folder}/") for path in runs), folder


def test_the_page_names_every_key_of_a_grid():
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    for key in (*GRID, *TEACHER):
        assert f"`{key}`" in rows, key
    assert set(OF_COMPRESS) >= {"retention"}
    with pytest.raises(ValueError, match="teachers"):
        grid_of({})
