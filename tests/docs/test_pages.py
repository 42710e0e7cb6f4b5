"""Every block of these pages works as written, in order, with smaller budgets; other pages have tests of their own."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import gymnasium
import pytest

from policy_distill.teachers.train import train_teacher
from tests.docs.blocks import QUICK, ROOT, Reader, blocks

LANDER, CARTPOLE = "ppo-LunarLander-v2", "qrdqn-CartPole-v1"


def nothing(reader):
    """Return without a check: that each block ran is the test."""


@dataclass(frozen=True)
class Run:
    """How a page is run."""

    zoo: tuple[str, ...] = ()
    """Agents of the Zoo that lie in the reader's folder."""
    prepare: Callable = nothing
    check: Callable = nothing
    quick: dict = field(default_factory=dict)
    swaps: tuple = ()
    bound: float = 0.1
    """How far a number of a page's outputs may be from the one found, as a share."""


def data_is_said(reader):
    assert re.search(r"left out of the data +\d+ of \d+ whole episodes that the teacher acted", reader.said)
    # The table of a comparison has the conditions.
    assert "obs-noise:0.3" in reader.said and "delay:2" in reader.said


def tuned_is_said(reader):
    assert re.search(r"fine-tuned +(better than|not proven better)", reader.said)
    assert all((reader.folder / run / "report.html").exists() for run in ("tuned", "evolved", "both"))


def rules_are_said(reader):
    assert "theta_velocity <= " in reader.said
    assert "<svg class=tree" in (reader.folder / "runs/tree/report.html").read_text()
    assert (reader.folder / "runs/tree_c/policy.c").read_text().count("if (x[") >= 8


def small_cartpole(reader):
    settings = {"n_envs": 1, "hyperparameters": {"n_steps": 16, "batch_size": 16}}
    train_teacher("CartPole-v1", "ppo", 32, (8,), 0, reader.folder / "ppo-CartPole-v1.zip", **settings)


def memory_is_carried(reader):
    memory = reader.names["student"].metadata["architecture"]["memory"]
    assert reader.names["state"].shape == (4, memory["size"]) and reader.names["actions"].shape == (4,)
    assert (reader.folder / "blind_c" / "policy.c").exists() and (reader.folder / "blind.onnx").exists()


def the_price_is_drawn(reader):
    page = (reader.folder / "blind" / "report.html").read_text()
    assert "cannot see x_velocity, y_velocity, angular_velocity" in page


def teachers_are_kept(reader):
    both = json.loads((reader.folder / "both" / "evaluation.json").read_text())
    assert [len(one["sha256"]) for one in both["teachers"]] == [64, 64]
    asked = json.loads((reader.folder / "by_side" / "config.json").read_text())["request"]
    assert asked["combine"] == "dispatch:sides:leaning"
    unseen = json.loads((reader.folder / "unseen" / "evaluation.json").read_text())
    assert unseen["view"]["unseen"]


SHORT = {"--timesteps": "1024", "--eval-episodes": "8", "--select-episodes": "2", "--track": "disabled"}
PAGES = {
    "docs/acting.md": Run(),
    "docs/budget.md": Run(zoo=(LANDER,)),
    "docs/data.md": Run(
        zoo=(LANDER,), quick={"distill": {**QUICK["distill"], "--timesteps": "4096"}}, check=data_is_said
    ),
    "docs/finetune.md": Run(
        zoo=(LANDER,),
        quick={
            "distill": {"--timesteps": "2048", "--eval-episodes": "4", "--select-episodes": "2", "--track": "disabled"}
        },
        # PPO changes a student after 12,000 steps, in which the critic learns alone.
        swaps=(("timesteps=20_000, eval_episodes=50", "timesteps=12_800, eval_episodes=4"),),
        check=tuned_is_said,
    ),
    # In full, for its outputs: another processor trains another agent.
    "docs/get_started.md": Run(
        quick={"train": {}, "distill": {"--track": "disabled"}, "compress": {"--track": "disabled"}}, bound=0.6
    ),
    "docs/how_it_learns.md": Run(),
    "docs/coming_from.md": Run(zoo=(LANDER,), swaps=(("timesteps=50_000", "timesteps=2048, eval_episodes=0"),)),
    "docs/python.md": Run(zoo=(LANDER,), swaps=(("timesteps=50_000", "timesteps=2048, eval_episodes=4"),)),
    "docs/several_teachers.md": Run(
        zoo=(CARTPOLE, "ars-CartPole-v1"), quick={"distill": SHORT}, check=teachers_are_kept
    ),
    "docs/speed.md": Run(),
    "docs/students.md": Run(zoo=(CARTPOLE,)),
    "docs/track.md": Run(
        zoo=(CARTPOLE,),
        quick={"distill": {"--timesteps": "2000", "--eval-episodes": "0"}},
        swaps=(("timesteps=2048", "timesteps=2048, eval_episodes=0"),),
    ),
    "docs/troubleshooting.md": Run(),
    "docs/memory.md": Run(prepare=small_cartpole, check=memory_is_carried),
    "docs/proof.md": Run(),
    "docs/reliability.md": Run(),
    "docs/scale.md": Run(zoo=(LANDER,)),
    "docs/trees.md": Run(
        zoo=(CARTPOLE,), quick={"distill": {**QUICK["distill"], "--timesteps": "4000"}}, check=rules_are_said
    ),
    "docs/values.md": Run(zoo=(LANDER,)),
    "docs/views.md": Run(zoo=(LANDER,), check=the_price_is_drawn),
}
OF_THEIR_OWN = {
    "docs/command_line.md": "test_readme",
    "docs/compress.md": "test_compress",
    "docs/deploy.md": "test_deploy",
    "docs/environments.md": "test_environments",
    "docs/extending.md": "test_extending",
    "docs/generalisation.md": "test_generalisation",
    "docs/hub.md": "test_hub",
    "docs/robot.md": "test_robot",
    "docs/suite.md": "test_suite",
    "docs/tasks.md": "test_tasks",
    "docs/teachers.md": "test_teachers",
    "docs/transfer.md": "test_transfer",
}
"""Pages that need more than their blocks, and which test runs them."""


# A rollout of one environment is smaller than a batch; what W&B's workspaces are made of is of an older pydantic.
@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size", "ignore::DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_every_block_works_as_written(path, request, tmp_path, monkeypatch, capsys):
    run = PAGES[path]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registered = set(gymnasium.registry)
    for agent in run.zoo:
        (tmp_path / agent).symlink_to(request.getfixturevalue("zoo") / agent)
    reader = Reader(tmp_path, run.quick, run.swaps, run.bound)
    before = set(sys.modules)
    run.prepare(reader)
    reader.follow(path)
    run.check(reader)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    for env_id in set(gymnasium.registry) - registered:
        del gymnasium.registry[env_id]


def test_every_page_is_run():
    for page in sorted((ROOT / "docs").glob("*.md")):
        path = f"docs/{page.name}"
        told = {language for language, _ in blocks(path)} - {"text", ""}
        runs = path in PAGES or path in OF_THEIR_OWN or any(path in test.read_text() for test in pages_elsewhere())
        assert runs or not told, f"{path} has blocks that no test runs; give it a line in PAGES"
    for test in OF_THEIR_OWN.values():
        assert (ROOT / "tests" / "docs" / f"{test}.py").exists()


def pages_elsewhere():
    """Return test files outside of this folder that may run a page."""
    return (ROOT / "tests").glob("test_*_page.py")


def test_every_block_says_its_language():
    for page in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md"):
        for language, code in blocks(page.relative_to(ROOT)):
            assert language, f"{page.name}: a block without a language: {code[:60]!r}"
