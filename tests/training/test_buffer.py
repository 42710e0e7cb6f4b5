from collections import OrderedDict

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecTransposeImage

from policy_distill.environments.frame_stack import frames_of
from policy_distill.environments.open import open_environments
from policy_distill.environments.wrappers import FrameStack
from policy_distill.errors import RunFault
from policy_distill.student.features import Featurizer
from policy_distill.student.spaces import describe_space
from policy_distill.training import shared_frames
from policy_distill.training.buffer import Buffer
from policy_distill.training.feature_layout import layout_of
from policy_distill.training.shared_frames import SharedFrames
from policy_distill.training.stores import MixedRows, Rows, make_store

N_STACK, N_ENVS, CAPACITY = 4, 3, 40
STACKED = Featurizer(describe_space(spaces.Box(0, 255, (8, 6, 2 * N_STACK), np.uint8)))
"""Four frames of two channels each."""
DICT = spaces.Dict(
    OrderedDict(
        speed=spaces.Box(-1.0, 1.0, (2,)), view=spaces.Box(0, 255, (5, 4, 3), np.uint8), kind=spaces.Discrete(3)
    )
)


def test_a_full_buffer_forgets_the_oldest_first():
    buffer = Buffer(Rows(5, (1,)), 1)
    for start in (0, 3):
        values = torch.arange(start, start + 3.0).unsqueeze(1)
        buffer.add(values, 10 * values)
    assert buffer.size == 5
    (batch,) = buffer.minibatches(1, 100, torch.Generator().manual_seed(0))
    features, labels = batch.features, batch.teacher_params
    assert torch.equal(labels, 10 * features)
    assert set(features.flatten().tolist()) == {1, 2, 3, 4, 5}


def test_more_than_fits_keeps_the_last_ones():
    buffer = Buffer(Rows(3, (1,)), 1)
    values = torch.arange(10.0).unsqueeze(1)
    buffer.add(values, values)
    assert sorted(buffer.features.get(torch.arange(3)).flatten().tolist()) == [7, 8, 9]
    assert buffer.n_bytes == 3 * 2 * 4


@pytest.mark.parametrize("n_steps", [4, 9, 25])
def test_windows_are_consecutive_states_of_one_environment(n_steps):
    # Three environments side by side; a state's feature says which environment and when.
    buffer = Buffer(Rows(24, (2,)), 1, 3, {"episode_starts": ((), torch.bool)})
    for start in range(0, n_steps, 2):
        when, who = torch.meshgrid(torch.arange(start, start + 2.0), torch.arange(3.0), indexing="ij")
        features = torch.stack([when.flatten(), who.flatten()], dim=1)
        buffer.add(features, features[:, :1], {"episode_starts": features[:, 0] % 5 == 0})
    seen = set()
    for window in buffer.sequences(20, 8, 3, torch.Generator().manual_seed(0)):
        when, who = window.features.unbind(dim=-1)
        assert window.features.shape == (3, 8, 2)
        assert torch.equal(when.diff(dim=0), torch.ones(2, 8))
        assert torch.equal(who, who[:1].expand(3, 8))
        assert torch.equal(window.teacher_params[..., 0], when)
        assert torch.equal(window.columns["episode_starts"], when % 5 == 0)
        seen |= set(when.flatten().tolist())
    n_kept = min(8, 2 * -(-n_steps // 2))
    last = 2 * -(-n_steps // 2)
    assert seen == set(range(last - n_kept, last))


def test_a_window_longer_than_what_is_kept_is_refused():
    buffer = Buffer(Rows(6, (1,)), 1, 2)
    buffer.add(torch.zeros(6, 1), torch.zeros(6, 1))
    with pytest.raises(ValueError, match="windows of at most 3 states, found 4"):
        next(buffer.sequences(1, 2, 4, torch.Generator()))


def test_further_columns_come_with_minibatches_and_are_restored():
    def make():
        return Buffer(Rows(10, (1,)), 1, columns={"rewards": ((), torch.float32), "actions": ((2,), torch.int64)})

    buffer, other = make(), make()
    values = torch.arange(7.0)
    columns = {"rewards": 3 * values, "actions": torch.stack([values, -values], dim=1).long(), "unasked": values}
    buffer.add(values[:, None], values[:, None], columns)
    other.restore(buffer.state(), buffer.next)
    (one,), (again,) = (b.minibatches(1, 50, torch.Generator().manual_seed(1)) for b in (buffer, other))
    assert set(one.columns) == {"rewards", "actions"}
    assert torch.equal(one.columns["rewards"], 3 * one.features[:, 0])
    assert torch.equal(one.columns["actions"][:, 1], -one.features[:, 0].long())
    assert all(torch.equal(one.columns[name], again.columns[name]) for name in one.columns)


class Stream:
    """Images as stacked environments give them, `n_envs` side by side, with episodes that end at random."""

    def __init__(self, seed, n_envs=N_ENVS, *, newest_last=True, ends=0.05):
        self.rng, self.n_envs, self.newest_last, self.ends = np.random.default_rng(seed), n_envs, newest_last, ends
        self.stacks = np.zeros((n_envs, N_STACK, 2, 8, 6), np.uint8)

    def rollout(self, n_steps):
        """Return features `[n_steps * n_envs, C, H, W]`."""
        seen = []
        for _ in range(n_steps):
            self.stacks[self.rng.random(self.n_envs) < self.ends] = 0
            self.stacks = np.roll(self.stacks, -1, axis=1)
            self.stacks[:, -1] = self.rng.integers(0, 256, (self.n_envs, 2, 8, 6))
            seen.append((self.stacks if self.newest_last else self.stacks[:, ::-1]).reshape(self.n_envs, 8, 8, 6))
        return torch.from_numpy(np.concatenate(seen))


def stores(capacity=CAPACITY, stride=N_ENVS):
    """Return a buffer that shares frames, and one that does not."""
    shared = make_store(STACKED, capacity, stride, N_STACK)
    assert isinstance(shared, SharedFrames)
    return Buffer(shared, 1), Buffer(Rows(capacity, STACKED.shape, dtype="uint8"), 1)


def assert_equal(one, other):
    rows = torch.arange(other.size)
    assert one.size == other.size
    assert torch.equal(one.features.get(rows), other.features.get(rows))
    assert one.features.get(rows).dtype == torch.uint8


@pytest.mark.parametrize(("newest_last", "ends"), [(True, 0.05), (True, 0.6), (False, 0.05)])
@pytest.mark.parametrize("capacity", [2, 3, 5, CAPACITY, 500])
def test_shared_frames_are_the_images_bit_for_bit(capacity, newest_last, ends):
    (shared, whole), stream = stores(capacity), Stream(0, newest_last=newest_last, ends=ends)
    for n_steps in (5, 1, 20, 3, 40, 7):
        images = stream.rollout(n_steps)
        labels = torch.arange(len(images)).float().unsqueeze(1)
        for buffer in (shared, whole):
            buffer.add(images, labels)
        assert_equal(shared, whole)
    pairs = zip(
        shared.minibatches(4, 16, torch.Generator().manual_seed(0)),
        whole.minibatches(4, 16, torch.Generator().manual_seed(0)),
        strict=True,
    )
    for one, other in pairs:
        assert torch.equal(one.features, other.features)
        assert torch.equal(one.teacher_params, other.teacher_params)


@pytest.mark.parametrize("batch_size", [3, 200])
def test_minibatches_of_images_have_their_channels_last_in_memory(batch_size):
    for buffer in stores(500):
        buffer.add(Stream(0).rollout(20), torch.zeros(60, 1))
        for batch in buffer.minibatches(5, batch_size, torch.Generator().manual_seed(0)):
            assert batch.features.shape == (batch_size, *STACKED.shape)
            assert batch.features.is_contiguous(memory_format=torch.channels_last)
        # A checkpoint's are as those of before.
        assert all(array.flags.c_contiguous for array in buffer.state().values())


def test_every_frame_is_kept_once():
    (shared, _), stream = stores(500), Stream(0, ends=0.0)
    for _ in range(4):
        shared.add(stream.rollout(20), torch.zeros(60, 1))
    # What an episode begins with are blanks, the same in each of its first images.
    assert shared.features._used == 240 + N_ENVS
    for _ in range(20):
        shared.add(stream.rollout(20), torch.zeros(60, 1))
    references = np.bincount(shared.features.slots.ravel(), minlength=len(shared.features.counts))
    assert np.array_equal(references, shared.features.counts)
    # A state gives its frames back when it gives way: the buffer grew no further than to its 500 states.
    assert (shared.features.counts > 0).sum() <= 500 + N_STACK * N_ENVS
    assert shared.features.n_bytes == layout_of(STACKED, N_STACK).n_bytes(500)


def test_the_bytes_are_those_that_were_computed():
    for featurizer, n_stack in [(STACKED, 4), (STACKED, 1), (STACKED, 3), (Featurizer(describe_space(DICT)), 1)]:
        store = make_store(featurizer, 100, 8, n_stack)
        assert store.n_bytes == layout_of(featurizer, n_stack).n_bytes(100)
    shared, whole = stores(100)
    assert shared.n_bytes < 0.35 * whole.n_bytes


def test_frames_that_are_not_shared_make_the_buffer_grow(caplog):
    (shared, whole), rng = stores(), np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (CAPACITY, *STACKED.shape), dtype=np.uint8))
    for buffer in (shared, whole):
        buffer.add(images, torch.zeros(CAPACITY, 1))
    assert "less in common than expected" in caplog.text
    assert_equal(shared, whole)
    assert len(shared.features.frames) == CAPACITY * N_STACK


def test_a_buffer_that_cannot_grow_says_what_to_do(monkeypatch):
    (shared, _), rng = stores(), np.random.default_rng(0)
    monkeypatch.setattr(shared_frames, "free_memory", lambda device: 1000)
    images = torch.from_numpy(rng.integers(0, 256, (CAPACITY, *STACKED.shape), dtype=np.uint8))
    with pytest.raises(RunFault, match="set --buffer-size below 40"):
        shared.add(images, torch.zeros(CAPACITY, 1))


@pytest.mark.parametrize("n_steps", [4, 30])
def test_a_buffer_goes_on_from_its_arrays(n_steps):
    (shared, whole), stream = stores(), Stream(0)
    for buffer_images in (stream.rollout(n_steps), stream.rollout(5)):
        for buffer in (shared, whole):
            buffer.add(buffer_images, torch.zeros(len(buffer_images), 1))
    again, _ = stores()
    again.restore(shared.state(), shared.next)
    assert_equal(again, whole)
    used = again.features._used
    images = stream.rollout(1)
    for buffer in (again, shared, whole):
        buffer.add(images, torch.zeros(N_ENVS, 1))
    assert again.features._used <= used + 2 * N_ENVS, "the next images share their frames with the last ones"
    for _ in range(5):
        images = stream.rollout(9)
        for buffer in (again, whole):
            buffer.add(images, torch.zeros(27, 1))
        assert_equal(again, whole)
    again.clear()
    assert (again.features.counts == 0).all()


@pytest.mark.parametrize(
    "lie",
    [
        {"slots": np.full((3, N_STACK), 7, np.int32)},
        {"slots": np.full((3, N_STACK), -1, np.int32)},
        {"slots": np.zeros((3, N_STACK), np.int64)},
        {"slots": np.zeros((CAPACITY + 1, N_STACK), np.int32)},
        {"slots": np.zeros((3, 2), np.int32)},
        {"frames": np.zeros((2, 2, 8, 7), np.uint8)},
        {"frames": np.zeros((2, 2, 8, 6), np.int8)},
        {"teacher_params": np.zeros((4, 1), np.float32)},
        {"teacher_params": np.zeros((3, 2), np.float32)},
    ],
)
def test_arrays_of_another_buffer_are_refused(lie):
    shared, _ = stores()
    shared.add(Stream(0).rollout(1), torch.zeros(3, 1))
    arrays = {**shared.state(), **lie}
    with pytest.raises(ValueError, match=r"are of|is not there"):
        stores()[0].restore(arrays, 3)


def test_pixels_among_other_features_are_kept_as_bytes():
    featurizer = Featurizer(describe_space(DICT))
    store = make_store(featurizer, 20, 1)
    assert isinstance(store, MixedRows)
    samples = [DICT.sample() for _ in range(20)]
    features = torch.from_numpy(featurizer({key: np.stack([s[key] for s in samples]) for key in DICT.spaces}))
    rows = torch.randperm(20)
    store.put(rows, features)
    assert torch.equal(store.get(rows), features)
    assert store.n_bytes == 20 * (4 * (2 + 3) + 60)
    again = make_store(featurizer, 20, 1)
    assert again.restore(store.arrays(20), 0) == 20
    assert torch.equal(again.get(rows), features)
    every = {**DICT.sample(), "view": np.arange(60, dtype=np.uint8).reshape(5, 4, 3) * 4 + 3}
    one = torch.from_numpy(featurizer({key: np.asarray(value)[None] for key, value in every.items()}))
    store.put(torch.tensor([0]), one)
    assert torch.equal(store.get(torch.tensor([0])), one)


class Gray(gymnasium.Env):
    """Images of noise."""

    action_space = spaces.Discrete(2)

    def __init__(self, shape=(36, 36)):
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._image(), {}

    def step(self, action):
        return self._image(), 0.0, False, False, {}

    def _image(self):
        return self.np_random.integers(0, 256, self.observation_space.shape, dtype=np.uint8)


ONE = (36, 36, 1)


@pytest.mark.parametrize(
    ("make", "n_stack"),
    [
        (lambda: FrameStack(Gray(ONE), 3), 3),
        (lambda: gymnasium.wrappers.FrameStackObservation(Gray(), 4), 4),
        (lambda: gymnasium.wrappers.TimeLimit(gymnasium.wrappers.FrameStackObservation(Gray(), 4), 9), 4),
        (lambda: Gray(ONE), 1),
    ],
)
def test_stacked_frames_are_told_by_their_wrapper(make, n_stack):
    for env in (make, DummyVecEnv([make, make]), gymnasium.vector.SyncVectorEnv([make, make])):
        assert frames_of(open_environments(env, 2)) == n_stack


@pytest.mark.parametrize("processes", [DummyVecEnv, SubprocVecEnv])
def test_stacked_frames_are_told_by_sb3s_vector(processes):
    vector = VecTransposeImage(VecFrameStack(processes([lambda: Gray(ONE)] * 2), 4))
    assert frames_of(open_environments(vector, 2)) == 4
    vector.close()


@pytest.mark.parametrize(
    ("make", "n_stack"),
    [
        (lambda: FrameStack(Gray(ONE), 3), 3),
        (lambda: gymnasium.wrappers.FrameStackObservation(Gray(), 4), 4),
        (lambda: Gray(ONE), 1),
    ],
)
def test_stacked_frames_are_told_from_sb3s_processes(make, n_stack):
    vector = SubprocVecEnv([make, make])
    assert frames_of(open_environments(vector, 2)) == n_stack
    assert len(vector.reset()) == 2, "the processes are there still"
    vector.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: FrameStack(Gray(ONE), 4),
        lambda: gymnasium.wrappers.FrameStackObservation(Gray(), 4),
        lambda: VecFrameStack(DummyVecEnv([lambda: Gray(ONE)] * 2), 4),
    ],
)
def test_the_frames_of_real_wrappers_are_shared(make):
    env = make()
    envs = open_environments(env if hasattr(env, "num_envs") else make, 2)
    featurizer = Featurizer(describe_space(envs.observation_space))
    store = make_store(featurizer, 100, 2, frames_of(envs))
    for index in range(2):
        envs.reset(index, index)
    images = []
    for _ in range(50):
        images.append(featurizer(envs.obs))
        envs.step(np.zeros(2, dtype=np.int64))
    images = torch.from_numpy(np.concatenate(images))
    store.put(torch.arange(100), images)
    assert torch.equal(store.get(torch.arange(100)), images)
    assert store._used <= 100 + 2
