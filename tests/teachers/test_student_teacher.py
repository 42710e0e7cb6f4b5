import gymnasium
import numpy as np
import pytest
import torch

from policy_distill import distill, load_student, load_teacher
from policy_distill.cli import main
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.spent import spent_by_teacher
from policy_distill.student.slim import slim
from policy_distill.teachers.kinds.ensemble import EnsembleTeacher
from policy_distill.teachers.kinds.student import StudentTeacher
from tests.doubles import cartpole_teacher, pendulum_teacher

QUICK = {
    "timesteps": 512,
    "n_envs": 4,
    "n_steps": 32,
    "eval_episodes": 4,
    "select_episodes": 2,
    "sampled_teacher": False,
}
STUDENTS = {
    "choices": (cartpole_teacher, "CartPole-v1", "mlp:8", {}),
    "gaussian": (pendulum_teacher, "Pendulum-v1", "mlp:8", {}),
    "gru": (cartpole_teacher, "CartPole-v1", "gru:4", {}),
    "tree": (cartpole_teacher, "CartPole-v1", "tree:8", {}),
    "a part": (cartpole_teacher, "CartPole-v1", "mlp:8", {"observe": "1-3"}),
}


def made(name, tmp_path, **settings):
    teacher, env, network, more = STUDENTS[name]
    network = settings.pop("student", network)
    distill(teacher(), env, network, out=tmp_path / "run", **{**QUICK, **more, **settings})
    return tmp_path / "run"


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_teaches_what_it_does(name, tmp_path):
    run = made(name, tmp_path)
    student, env = load_student(run / "student.safetensors"), STUDENTS[name][1]
    for source in (run, str(run / "student.safetensors"), student):
        teacher = load_teacher(source, env=env)
        assert isinstance(teacher, StudentTeacher)
    envs = open_environments(env, 3)
    for index in range(3):
        envs.reset(index, index)
    obs, starts, state, carried, taken = [], [], None, None, []
    begins = np.ones(3, bool)
    for step in range(12):
        obs.append(envs.obs.copy())
        starts.append(begins)
        actions, state = student.predict(envs.obs, state, begins, deterministic=True)
        told, carried = teacher.predict(envs.obs, carried, begins, deterministic=True)
        assert np.array_equal(actions, told)
        taken.append(actions)
        envs.step(actions)
        begins = np.zeros(3, bool)
        if step == 5:
            envs.reset(1, 9)
            begins = np.array([False, True, False])
    labels = teacher.label(np.stack(obs), np.stack(starts))
    assert labels.params.shape == (12, 3, teacher.family.n_params) and labels.params.dtype == torch.float32
    modes = teacher.action_map.execute(teacher.family.mode(labels.params.flatten(0, 1)).numpy())
    assert np.array_equal(modes, np.concatenate(taken))
    # In two parts as in one: what is remembered goes from the first to the second.
    first = teacher.label(np.stack(obs[:7]), np.stack(starts[:7]))
    second = teacher.label(np.stack(obs[7:]), np.stack(starts[7:]), first.state)
    assert torch.equal(torch.cat([first.params, second.params]), labels.params)


def test_several_students_teach_one_as_a_mixture(tmp_path):
    runs = [made("choices", tmp_path / str(seed), seed=seed) for seed in range(3)]
    together = load_teacher(runs, env="CartPole-v1")
    assert isinstance(together, EnsembleTeacher) and len(together.members) == 3
    obs, starts = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32), np.zeros((5, 2), bool)
    each = [load_teacher(run).label(obs, starts).params.softmax(-1) for run in runs]
    assert torch.allclose(together.label(obs, starts).params.exp(), torch.stack(each).mean(0), atol=1e-6)
    again = distill(together, "CartPole-v1", "mlp:8", **QUICK)
    members = again.student.provenance["teacher"]["members"]
    assert [one["algorithm"] for one in members] == ["student"] * 3
    assert all(one["teacher"]["algorithm"] == "formula" for one in members)
    # Nor is it proven on episodes that chose or proved one of them.
    spent = {tuple(span) for one in members for span in one["spent_seeds"]}
    first, end = again.student.provenance["spent_seeds"][0]
    assert spent <= set(spent_by_teacher(together)) and all(end <= low or high <= first for low, high in spent)


def test_the_command_line_takes_students_as_teachers(tmp_path, capsys):
    runs = [str(made("gaussian", tmp_path / str(seed), seed=seed)) for seed in range(2)]
    quick = "--timesteps 256 --n-envs 4 --n-steps 32 --eval-episodes 2 --select-episodes 0 --track disabled".split()
    assert main(["distill", "--teacher", *runs, "--student", "linear", "--out", str(tmp_path / "both"), *quick]) == 0
    said = capsys.readouterr()
    assert "environment: Pendulum-v1" in said.err and "statistics of VecNormalize" not in said.err
    student = load_student(tmp_path / "both" / "student.safetensors")
    assert [one["source"] for one in student.provenance["teacher"]["members"]] == ["student.safetensors"] * 2
    page = (tmp_path / "both" / "report.html").read_text()
    assert f"--teacher {runs[0]} {runs[1]}" in page


def test_what_cannot_teach_is_refused_in_one_line(tmp_path):
    student = load_student(made("gaussian", tmp_path) / "student.safetensors")
    with pytest.raises(RequestError, match="--keep-std") as refused:
        load_teacher(slim(student))
    assert "\n" not in str(refused.value)
    doer = load_student(made("gaussian", tmp_path, student="history:2a", overwrite=True) / "student.safetensors")
    with pytest.raises(RequestError, match=r"does not remember its own actions to teach another, found history:2a"):
        load_teacher(doer)
    for option in ({"vecnormalize": "v.pkl"}, {"wrappers": ["FrameStack:n_stack=4"]}, {"algo": "ppo"}, {"trust": True}):
        with pytest.raises(RequestError, match="its file has all that it needs"):
            load_teacher(student, **option)
    with pytest.raises(RequestError, match="does not fit"):
        load_teacher(student, env=gymnasium.make("CartPole-v1"))
