"""What a grid may say, and what is said of one that is wrong."""

import re
from pathlib import Path

import pytest

from policy_distill.errors import RequestError
from policy_distill.run.suite.grid import grid_of, read_grid
from policy_distill.run.suite.grid_cells import CellTracking, cells_of
from policy_distill.run.suite.grid_teachers import GridTeacher


@pytest.fixture
def zoo_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("zoo/ppo-Acrobot-v1", "zoo/ppo-CartPole-v1", "zoo/sac-Pendulum-v1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "zoo" / "best.zip").write_bytes(b"")
    return tmp_path


def read(folder, text, **options):
    (folder / "grid.yaml").write_text(text)
    return read_grid("grid.yaml", **options)


def made(grid, folder):
    return cells_of(grid, folder / "out", CellTracking(group="out"))


def test_teachers_environments_students_and_seeds_are_multiplied(zoo_here):
    text = "teachers: [zoo/ppo-*]\nenvs: [A-v0, {id: A-v0, name: heavy, env_kwargs: {mass: 2.0}}]\n"
    text += "students: [mlp:8, linear]\nseeds: [0, 1, 2]\ndistill: {timesteps: 512}\n"
    cells = made(read(zoo_here, text), zoo_here)
    assert len(cells) == len({cell.folder for cell in cells}) == len({cell.name for cell in cells}) == 2 * 2 * 2 * 3
    folders = {cell.folder.relative_to(zoo_here / "out").as_posix() for cell in cells}
    assert "ppo-CartPole-v1/heavy/mlp-8/seed-2" in folders
    heavy = next(cell for cell in cells if "heavy/mlp-8" in str(cell.folder))
    words = " ".join(heavy.words)
    for part in ("--env A-v0", "--env-kwargs mass:2.0", "--student mlp:8", "--timesteps 512", "--seed 0"):
        assert part in words
    assert str(zoo_here / "zoo" / "ppo-Acrobot-v1") in heavy.words, "absolute: a cell may start elsewhere"


def test_a_comma_in_a_short_list_of_yaml_does_not_divide_a_network(zoo_here):
    grid = read(zoo_here, "teachers: zoo/best.zip\nstudents: [mlp:8, mlp:32,32, cnn:16,32+mlp:64, linear]\n")
    assert grid.students == ("mlp:8", "mlp:32,32", "cnn:16,32+mlp:64", "linear")


def test_numbers_that_yaml_takes_for_words_are_numbers(zoo_here):
    grid = read(zoo_here, "teachers: zoo/best.zip\ndistill: {learning_rate: 3e-4, timesteps: 1e5}\n")
    assert grid.distill == {"learning_rate": 3e-4, "timesteps": 100_000}
    assert isinstance(grid.distill["timesteps"], int)


def test_an_agent_says_more_of_itself_in_a_mapping(zoo_here):
    text = """
teachers:
  - path: [zoo/ppo-Acrobot-v1, zoo/best.zip]
    name: both
    env: mills:Mill-v0
    env_kwargs: {sails: 3}
    gym_packages: mills
    wrapper: FrameStack:n_stack=4
    trust: true
  - zoo/sac-Pendulum-v1
gym_packages: [shared]
"""
    both, alone = read(zoo_here, text).teachers
    assert both == GridTeacher(
        "both",
        (zoo_here / "zoo" / "ppo-Acrobot-v1", zoo_here / "zoo" / "best.zip"),
        "mills:Mill-v0",
        {"sails": 3},
        ("shared", "mills"),
        {"wrapper": "FrameStack:n_stack=4", "trust": True},
    )
    assert (alone.name, alone.env) == ("sac-Pendulum-v1", None)


def test_agents_of_one_name_are_called_after_their_folders(zoo_here):
    (zoo_here / "other").mkdir()
    (zoo_here / "other" / "best.zip").write_bytes(b"")
    names = [one.name for one in read(zoo_here, "teachers: [zoo/best.zip, other/best.zip]").teachers]
    assert names == ["zoo-best", "other-best"]


def test_a_student_goes_on_by_reward_after_it_was_distilled(zoo_here):
    text = "teachers: zoo/best.zip\nstudents: mlp:8\nfinetune: {timesteps: 50000, hold: false}\ndistill: {n_envs: 2}\n"
    distilled, tuned = made(read(zoo_here, text), zoo_here)
    assert tuned.after == (distilled.name,)
    assert str(distilled.folder) in tuned.words
    assert "--teacher" not in tuned.words, "hold: false lets go of the teacher"
    assert "--n-envs" not in tuned.words, "settings of the distillation are not those of what follows"


def test_a_grid_may_compress_and_distil_nothing(zoo_here):
    text = "teachers: [zoo/best.zip, zoo/ppo-Acrobot-v1]\nseeds: [3]\n"
    text += "compress: {retention: 0.9, students: [mlp:2, mlp:4,4]}\n"
    cells = made(read(zoo_here, text), zoo_here)
    assert [cell.product for cell in cells] == ["compression.json"] * 2
    assert re.search(
        r"compress --teacher \S+best.zip --students mlp:2 mlp:4,4 --retention 0.9", " ".join(cells[0].words)
    )


def test_the_seed_of_the_command_counts_where_the_grid_names_none(zoo_here):
    assert read(zoo_here, "teachers: zoo/best.zip", seed=7).seeds == (7,)
    assert read(zoo_here, "teachers: zoo/best.zip\nseeds: [1]", seed=7).seeds == (1,)


WRONG = {
    "- a list": "mapping",
    "teachers: [": "not YAML",
    "a: &x [1]\nb: *x": "alias",
    "students: [mlp:8]": "under teachers",
    "teacher: zoo/best.zip": "teachers",
    "teachers: zoo/nothing-*": "zoo/nothing-*",
    "teachers: [zoo/best.zip, zoo/best.zip]": "twice",
    "teachers: {path: zoo/best.zip, enb: A-v0}": "env",
    "teachers: {path: zoo/best.zip, name: a/b}": "a/b",
    "teachers: {path: zoo/best.zip, trust: maybe}": "trust: expected true or false",
    "teachers: {path: zoo/best.zip, env_kwargs: [1]}": "env_kwargs",
    "teachers: 3": "the path of an agent",
    "teachers: zoo/best.zip\nenvs: {}": "ids",
    "teachers: zoo/best.zip\nstudents: [mpl:8]": "mpl:8",
    "teachers: zoo/best.zip\nstudents: [mlp:8, mlp:8]": "mlp:8 twice",
    "teachers: zoo/best.zip\nstudents: []": "none",
    "teachers: zoo/best.zip\nseeds: [0, -1]": "-1",
    "teachers: zoo/best.zip\nseeds: [true]": "True",
    "teachers: zoo/best.zip\nseed: 1": "seeds",
    "teachers: zoo/best.zip\ndistill: {timestep: 5}": "timesteps",
    "teachers: zoo/best.zip\ndistill: {timesteps: many}": "timesteps: expected a whole number",
    "teachers: zoo/best.zip\ndistill: {timesteps: 0}": "timesteps must be at least 1",
    "teachers: zoo/best.zip\ndistill: {seed: 3}": "under seeds",
    "teachers: zoo/best.zip\ndistill: [1]": "settings such as",
    "teachers: zoo/best.zip\nfinetune: {activation: relu}": "comes with the student",
    "teachers: zoo/best.zip\nfinetune: {gamma: 2}": "gamma",
    "teachers: zoo/best.zip\nfinetune: {method: magic}": "method must be one of ppo, es",
    "teachers: zoo/best.zip\ncompress: {budget: half}": "budget",
    "teachers: zoo/best.zip\ndistill: {loss: forward}": "distill, loss: expected a loss among",
    "teachers: zoo/best.zip\nstudents: ['mlp:8,8', 'mlp:8, 8']": "'mlp:8,8' and 'mlp:8, 8'",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_wrong_grid_is_refused_in_one_line_that_names_the_word(zoo_here, text):
    with pytest.raises(RequestError, match=re.escape(WRONG[text])) as error:
        read(zoo_here, text)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("grid.yaml"), "and the file"


def test_a_grid_is_bounded(zoo_here):
    with pytest.raises(RequestError, match="bytes"):
        read(zoo_here, "#" * 100_001)
    with pytest.raises(RequestError, match="100,000 cells"):
        grid_of({"teachers": "zoo/best.zip", "seeds": list(range(100_001))})
    with pytest.raises(RequestError, match="nested more than"):
        read(zoo_here, "teachers: " + "[" * 5000)
    with pytest.raises(RequestError, match="nothing at nowhere"):
        read_grid(Path("nowhere"))
