import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.preprocessing import is_image_space

from policy_distill.families.categorical import Categorical
from policy_distill.interfaces.policies import Labels
from policy_distill.run.distill import distill
from policy_distill.student.actions import ActionMap
from policy_distill.student.file import write_sealed
from policy_distill.student.pixels import images_for, images_of, is_image
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.spaces import describe_space
from policy_distill.teachers.load import load_teacher
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from tests.doubles import FormulaTeacher

ROWS = 8
QUICK = {"timesteps": 2048, "n_envs": 8, "n_steps": 64, "eval_episodes": 10, "select_episodes": 0}


class Board(gymnasium.Env):
    """Ten moves: say on which side of the stone (plane 1) the king (plane 0) stands; each right answer gives 1."""

    action_space = spaces.Discrete(4)

    def __init__(self, dtype=np.uint8, high=1):
        self.observation_space = spaces.Box(0, high, (2, ROWS, ROWS), dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._dealt(), {}

    def _dealt(self):
        king, stone = self.np_random.integers(ROWS, size=(2, 2))
        board = np.zeros((2, ROWS, ROWS), self.observation_space.dtype)
        board[0][tuple(king)] = board[1][tuple(stone)] = 1
        self.answer = 2 * int(king[0] < stone[0]) + int(king[1] < stone[1])
        return board

    def step(self, action):
        reward, self.t = float(action == self.answer), self.t + 1
        return self._dealt(), reward, self.t >= 10, False, {}


class Referee(FormulaTeacher):
    """Knows the answer: where each piece stands is linear in the board, and so is each logit."""

    def __init__(self, env):
        super().__init__(env.observation_space, env.action_space, np.zeros((2, 4)))

    def label(self, obs, episode_starts, state=None, action_masks=None):
        place = torch.arange(ROWS, dtype=torch.float32)
        board = torch.from_numpy(np.asarray(obs, np.float32))
        rows, columns = board.sum(-1) @ place, board.sum(-2) @ place
        down, right = (8.0 * (x[..., 1] - x[..., 0] - 0.5) for x in (rows, columns))
        return Labels(torch.stack([-down - right, -down + right, down - right, down + right], dim=-1))


def returns(env, student="mlp:32,32", seed=0, **settings):
    done = distill(Referee(env()), env, student, **{**QUICK, "seed": seed, **settings})
    return done, float(done.comparison.student.returns.mean())


def test_a_board_of_zeros_and_ones_is_learned_as_the_same_board_of_floats():
    for seed in range(2):
        found, score = returns(Board, seed=seed)
        expected, _ = returns(lambda: Board(np.float32), seed=seed)
        assert found.student.metadata["images"] == []
        for name, array in expected.student.tensors.items():
            assert np.array_equal(found.student.tensors[name], array), name
        assert found.comparison.teacher.returns.mean() == 10.0
        # What was learned before, from ones that were divided by 255, is hardly better than a guess among four.
        assert score > 6.0


def test_a_cnn_takes_a_board_and_divides_it_by_its_own_largest_value(tmp_path):
    found, _ = returns(lambda: Board(high=2), "cnn:16", timesteps=1024)
    first = found.student.metadata["architecture"]["layers"][0]
    assert first == {"op": "scale", "factor": 0.5}
    assert found.student.metadata["images"] == [""]
    found.student.save(tmp_path / "board.safetensors")
    again = load_student(tmp_path / "board.safetensors")
    obs = np.stack([Board(high=2).reset(seed=seed)[0] for seed in range(20)])
    expected = found.student.distribution_params(obs)
    assert np.array_equal(again.distribution_params(obs), expected)
    trainable = StudentPolicy.from_record(again.record)
    assert np.allclose(trainable(obs).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (8, 8, 3), np.uint8),
        spaces.Box(0, 1, (8, 8, 3), np.uint8),
        spaces.Box(0, 254, (8, 8, 3), np.uint8),
        spaces.Box(1, 255, (8, 8, 3), np.uint8),
        spaces.Box(0, np.array([255] * 47 + [9]).reshape(4, 4, 3).astype(np.uint8), dtype=np.uint8),
        spaces.Box(0, 255, (8, 8), np.uint8),
        spaces.Box(0, 255, (8, 8, 3), np.float32),
        spaces.Box(0, 255, (8, 8, 3), np.int16),
        spaces.Discrete(4),
    ],
    ids=str,
)
def test_images_are_those_of_stable_baselines3(space):
    assert is_image(describe_space(space)) == is_image_space(space)
    assert images_for(describe_space(space)) == (("",) if is_image_space(space) else ())
    together = spaces.Dict(one=space, other=spaces.Box(0, 255, (4, 4, 1), np.uint8))
    assert images_for(describe_space(together)) == (("one", "other") if is_image_space(space) else ("other",))


def old_student(space, network="linear", **parts):
    """A student as earlier versions wrote it: all bytes in three dimensions were pixels, and no record said so."""
    described = describe_space(space)
    record = {"observation_space": described}
    spec = StudentSpec(
        network=network,
        activation="tanh",
        family=Categorical(4),
        log_std=None,
        observation_space=described,
        action_space=describe_space(spaces.Discrete(4)),
        action_map=ActionMap("index", (), "int64"),
        normalizer=None,
        images=images_of(record),
    )
    policy = StudentPolicy(spec, torch.Generator().manual_seed(3))
    if policy.featurizer.is_image:
        policy.network[0].factor = 1.0 / 255.0
    student = Student.of(policy.to_record({"env_id": "Test-v0", "env_wrappers": []}))
    metadata = {key: value for key, value in copy.deepcopy(student.metadata).items() if key != "images"}
    return Student(student.tensors, metadata)


def test_a_student_of_an_earlier_version_acts_as_it_did(tmp_path):
    board = spaces.Box(0, 1, (2, ROWS, ROWS), np.uint8)
    student = old_student(board)
    obs = np.stack([Board().reset(seed=seed)[0] for seed in range(10)])
    weight, bias = (student.tensors[f"network.2.{name}"] for name in ("weight", "bias"))
    expected = (obs.reshape(10, -1) / 255.0) @ weight.T + bias
    without = {key: value for key, value in student.metadata.items() if key not in ("images", "head")}
    write_sealed(tmp_path / "old.safetensors", student.tensors, without)
    again = load_student(tmp_path / "old.safetensors")
    for one in (student, again):
        assert np.allclose(one.distribution_params(obs), expected, atol=1e-6)
    trainable = StudentPolicy.from_record(again.record)
    assert np.allclose(trainable(obs).detach().numpy(), expected, atol=1e-6)
    both = old_student(spaces.Dict(board=board))
    weight, bias = (both.tensors[f"network.0.{name}"] for name in ("weight", "bias"))
    expected = (obs.reshape(10, -1) / 255.0) @ weight.T + bias
    assert np.allclose(both.distribution_params({"board": obs}), expected, atol=1e-6)


@pytest.mark.parametrize("normalize_images", [True, False])
def test_a_student_takes_for_pixels_what_its_teacher_does(normalize_images):
    class Codes(Board):
        """The same board in the bounds of an image."""

        def __init__(self):
            super().__init__(high=255)

    kwargs = {"normalize_images": normalize_images, "net_arch": [16]}
    model = PPO("MlpPolicy", Codes(), n_steps=16, batch_size=16, policy_kwargs=kwargs, seed=0, device="cpu")
    settings = {**QUICK, "timesteps": 256, "eval_episodes": 0}
    done = distill(load_teacher(model), Codes, "mlp:8", **settings)
    assert done.student.metadata["images"] == ([""] if normalize_images else [])
    assert (done.student.metadata["observation_normalization"] is None) == normalize_images
