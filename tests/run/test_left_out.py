import gymnasium
import numpy as np
import pytest
import torch

from policy_distill import compress
from policy_distill.collection.rollout import Rollout
from policy_distill.commands.distill import summary
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.run.session import Session
from policy_distill.training.buffer import Buffer
from policy_distill.training.stores import Rows
from policy_distill.training.teacher_episodes import TeacherEpisodes
from tests.doubles import FormulaTeacher
from tests.run.test_resume import QUICK, die_and_resume


class Slippery(gymnasium.Env):
    """Twelve steps of reward 1 in which the first component says whether one slips: then it ends after five, at -100.

    One seed in five slips. Both components are seen, the second is the age.
    """

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.slips, self.age = self.np_random.random() < 0.2, 0
        return self.look(), {}

    def step(self, action):
        self.age += 1
        falls = self.slips and self.age == 5
        return self.look(), -100.0 if falls else 1.0, bool(falls), self.age == 12, {}

    def look(self):
        return np.array([1.0 if self.slips else -1.0, self.age / 12], np.float32)


def slippery_teacher():
    return FormulaTeacher(Slippery.observation_space, Slippery.action_space, [[-1.0, 1.0], [0.5, -0.5]])


@pytest.fixture
def sessions(monkeypatch):
    """The session of each run."""
    made, init = [], Session.__init__

    def noting(self, *arguments, **options):
        made.append(self)
        init(self, *arguments, **options)

    monkeypatch.setattr(Session, "__init__", noting)
    return made


def learnt_of(buffer):
    """Return the features of what is learnt from, and those of all that is stored."""
    stored = buffer.features.get(torch.arange(buffer.size))
    return buffer.features.get(buffer.rows()), stored


LEAVING_OUT = [{"min_teacher_return": 0.0}, {"drop_worst": 0.3}, {"min_teacher_return": 0, "drop_worst": 0.05}]


@pytest.mark.parametrize("settings", LEAVING_OUT)
def test_failed_episodes_of_the_teacher_are_left_out_whole(sessions, settings):
    settings = {**QUICK, "actor": "teacher", "normalize": "none", "n_steps": 30, **settings}
    result = distill(slippery_teacher(), Slippery, "mlp:8", **settings)
    learnt, stored = learnt_of(sessions[0].stream.buffer)
    # Slipping is seen from the first state on, before anybody knows: those states are gone too.
    n_slipping = int((stored[:, 0] > 0).sum())
    assert n_slipping > 100
    unfinished = learnt[learnt[:, 0] > 0]
    assert len(unfinished) <= 4 * 4 and (unfinished[:, 1] < 5 / 12).all()
    said, drop = result.record.left_out, settings.get("drop_worst", 0)
    if drop < 0.3:
        assert said.best == -96 and said.n_states == n_slipping - len(unfinished) == 5 * said.n_left_out
    else:
        # More than fail: some that did not, the oldest of those that are equal.
        assert said.best == 12 and said.n_left_out == int(0.3 * said.n_episodes)
    assert len(learnt) == len(stored) - said.n_states
    assert result.evaluation["left_out"]["n_episodes"] == said.n_episodes > 60


def test_states_wait_until_their_episode_has_ended(sessions, monkeypatch):
    seen, learn = [], Session.learn

    def noting(self, rollout, *labels):
        metrics = learn(self, rollout, *labels)
        seen.append((self.stream.buffer.size, self.stream.buffer.n_learnt, metrics))
        return metrics

    monkeypatch.setattr(Session, "learn", noting)
    # Each rollout is shorter than an episode.
    settings = {**QUICK, "timesteps": 4 * 24, "n_steps": 4, "actor": "teacher", "checkpoint_every": 0}
    distill(slippery_teacher(), Slippery, "mlp:8", min_teacher_return=0, **settings)
    assert [size for size, _, _ in seen] == [16, 32, 48, 64, 80, 96]
    ready = [n for _, n, _ in seen]
    assert ready[:2] == [0, 0] and 0 < ready[2] <= ready[5] < 96
    assert ["train/loss" in metrics for _, _, metrics in seen[:3]] == [False, False, True]
    assert all(metrics["train/kl"] > 0 for _, _, metrics in seen)


def test_a_student_s_episodes_stay(sessions):
    result = distill(slippery_teacher(), Slippery, "mlp:8", min_teacher_return=0, **{**QUICK, "n_steps": 16})
    learnt, stored = learnt_of(sessions[0].stream.buffer)
    said = result.record.left_out
    assert 0 < said.n_episodes <= 16 and len(stored) - len(learnt) == said.n_states
    assert (learnt[16 * 4 :, 0] > 0).sum() > 50


def test_a_mixture_is_the_teacher_s_for_its_first_half(sessions):
    result = distill(slippery_teacher(), Slippery, "mlp:8", drop_worst=0.1, **{**QUICK, "actor": "mixed"})
    numbers, half = sessions[0].stream.buffer.columns["episode"][: QUICK["timesteps"]], QUICK["timesteps"] // 2
    assert (numbers[half:] == 0).all() and (numbers[:half] > 0).all()
    said = result.record.left_out
    assert said.n_left_out == said.n_episodes // 10 > 0


@pytest.mark.parametrize("student", ["mlp:8", "gru:4", "history:3+mlp:8", "tree:8"])
@pytest.mark.parametrize(
    "settings", [{"drop_worst": 0.2, "actor": "mixed"}, {"min_teacher_return": 0, "actor": "teacher"}]
)
def test_a_run_that_died_equals_one_that_did_not(tmp_path, student, settings):
    # 7 steps of each environment: no rollout holds a whole episode, and every checkpoint some that wait.
    settings = {"n_steps": 7, "timesteps": 840, **settings}
    whole, died = die_and_resume(tmp_path, slippery_teacher, lambda: Slippery, student, at=(28, 420), **settings)
    assert whole == died
    assert whole["metrics"][-2]["rollout/dropped_share"] > 0.1


def test_a_small_buffer_forgets_the_oldest_and_goes_on():
    settings = {**QUICK, "actor": "teacher", "buffer_size": 120}
    result = distill(slippery_teacher(), Slippery, "gru:4", drop_worst=0.25, **settings)
    assert result.record.left_out.n_episodes > 60


def rollout_of(starts, rewards, ends, share=1.0):
    starts, rewards, ends = (np.array(one).T for one in (starts, rewards, ends))
    columns = {
        "rewards": rewards.astype(float),
        "terminated": ends.astype(bool),
        "truncated": np.zeros(ends.shape, bool),
    }
    return Rollout(np.zeros((*starts.shape, 1), np.float32), starts.astype(bool), None, share, columns)


def buffer_with(episodes, *rollouts):
    buffer = Buffer(Rows(64, (1,)), 1, 2, {"episode": ((), torch.int64)})
    known = []
    for rollout in rollouts:
        values = torch.arange(buffer.next, buffer.next + rollout.episode_starts.size, dtype=torch.float32)[:, None]
        buffer.add(values, values, episodes.columns_of(rollout))
        known.append(episodes.leave_out(buffer, goes_on=True, over=False))
    return buffer, known


def test_an_episode_that_a_fault_cut_short_stays():
    episodes = TeacherEpisodes(DistillConfig(min_teacher_return=0.0, actor="teacher"), 2)
    # The first environment begins anew at its third step, without an end; the second fails after three.
    first = rollout_of([[1, 0, 1, 0], [1, 0, 0, 1]], [[-5, -5, 1, 1], [-1, -1, -1, 1]], [[0, 0, 0, 0], [0, 0, 1, 0]])
    second = rollout_of([[0, 0], [0, 0]], [[1, 1], [1, 1]], [[0, 1], [0, 0]])
    buffer, known = buffer_with(episodes, first, second)
    assert known == [5, 4]
    # Rows are [step, environment]: 0 and 2 were cut short, 4, 6, 8, 10 ended well, 1, 3, 5 failed, 7, 9, 11 still run.
    assert buffer.rows().tolist() == [0, 2, 4, 6, 8, 10]
    assert episodes.metrics() == {"rollout/dropped_share": 0.5}
    assert episodes.leave_out(buffer, goes_on=False, over=True) == 3
    assert buffer.rows().tolist() == [0, 2, 4, 6, 7, 8, 9, 10, 11]


def test_what_is_the_worst_share_is_decided_anew():
    episodes = TeacherEpisodes(DistillConfig(drop_worst=0.5, actor="teacher"), 2)
    first = rollout_of([[1, 1], [1, 1]], [[1, 4], [2, 3]], [[1, 1], [1, 1]])
    buffer, _ = buffer_with(episodes, first)
    assert buffer.rows().tolist() == [2, 3]
    second = rollout_of([[1, 1], [1, 1]], [[-1, -2], [-3, -4]], [[1, 1], [1, 1]])
    values = torch.zeros(4, 1)
    buffer.add(values, values, episodes.columns_of(second))
    episodes.leave_out(buffer, goes_on=True, over=False)
    # What had been among the worse half is among the better one now.
    assert buffer.rows().tolist() == [0, 1, 2, 3]


def test_windows_hold_nothing_that_was_left_out():
    generator, stride = torch.Generator().manual_seed(0), 3
    buffer = Buffer(Rows(30, (1,)), 1, stride)
    # A ring that has gone round: rows 0 to 11 are the newest.
    for start in (0, 30):
        values = torch.arange(start, start + (30 if start == 0 else 12), dtype=torch.float32)[:, None]
        buffer.add(values, values)
    stored = buffer.features.get(torch.arange(30)).flatten()
    # Of environment 1 the step at 22 is left out.
    buffer.learn_from((stored != 22) & (stored % stride != 2))
    assert buffer.longest(99) == 10
    drawn = [batch.features[..., 0] for batch in buffer.sequences(40, 8, 4, generator)]
    windows = torch.cat([one.T for one in drawn])
    assert (windows[:, 1:] - windows[:, :-1] == stride).all() and (windows != 22).all()
    assert set(windows[:, 0].tolist()) == {*range(12, 31, 3), *range(25, 32, 3)}
    singles = torch.cat([batch.features.flatten() for batch in buffer.minibatches(40, 16, generator)])
    assert set(singles.tolist()) == {one for one in range(12, 42) if one % 3 != 2 and one != 22}
    buffer.learn_from(torch.zeros(30, dtype=torch.bool))
    assert buffer.longest(5) == 0 and buffer.n_learnt == 0
    with pytest.raises(ValueError, match="at most 0 states"):
        next(buffer.sequences(1, 1, 2, generator))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"min_teacher_return": 50.0, "actor": "teacher"},
            "the best with a return of 12: nothing is left to learn from",
        ),
        ({"min_teacher_return": float("nan")}, "min_teacher_return must be finite"),
        ({"min_teacher_return": "much"}, "must be a number"),
        ({"drop_worst": 1.0}, "at least 0 and below 1"),
        ({"drop_worst": None}, "must be a number"),
        ({"drop_worst": 0.1, "buffer": "latest"}, "aggregate to leave out episodes"),
        ({"drop_worst": 0.1, "actor": "teacher", "buffer_size": 8}, "raise --buffer-size"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(settings, words):
    with pytest.raises(RequestError, match=words) as refused:
        distill(slippery_teacher(), Slippery, "mlp:8", **{**QUICK, **settings})
    assert "\n" not in str(refused.value)


def test_a_compression_whose_students_act_is_told_so():
    with pytest.raises(RequestError, match="all of the first rollout"):
        compress(slippery_teacher(), Slippery, students="linear", drop_worst=0.1)


def test_the_end_says_what_was_left_out_and_that_a_student_acts_alone(caplog):
    quick = {**QUICK, "timesteps": 512, "n_steps": 16}
    result = distill(slippery_teacher(), Slippery, "linear", drop_worst=0.5, **quick)
    assert "the teacher acts only in the first rollout" in caplog.text
    said = result.record.left_out
    expected = f"{said.n_left_out} of {said.n_episodes} whole episodes that the teacher acted ({said.n_states} states)"
    assert expected in summary(result.record, {}, None)
