"""Every algorithm, action space and kind of observation, through save, load, distil, file and acting."""

import importlib
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TransformAction
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.policies import ActorCriticPolicy

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.exporters.export import export
from policy_distill.interfaces.policies import Teacher
from policy_distill.run.distill import distill
from policy_distill.student.runtime import Student, load_student
from policy_distill.teachers.describe import describe_zip
from policy_distill.teachers.load import load_teacher
from tests.doubles import corridor_teacher


class Any(gymnasium.Env):
    """Eight steps of random observations; a reward for an action near its lowest."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space
        self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.t += 1
        return self.observation_space.sample(), -float(np.sum(action)), False, self.t >= 8, {}

    def action_masks(self):
        return np.arange(self.action_space.n) != self.t % self.action_space.n


BOX = spaces.Box(-1.0, 1.0, (3,), np.float32)
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "box": spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([1.0, 5.0], np.float32)),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
    "offset": spaces.Discrete(3, start=4),
    "matrix": spaces.Box(-1.0, 2.0, (2, 2), np.float32),
}
OBSERVATIONS = {
    "vector": BOX,
    "matrix": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    "whole_numbers": spaces.Box(-5, 100, (3,), np.int16),
    "discrete": spaces.Discrete(4),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(4),
    "image_last": spaces.Box(0, 255, (36, 36, 1), np.uint8),
    "image_first": spaces.Box(0, 255, (3, 36, 36), np.uint8),
    "dict": spaces.Dict(
        speed=spaces.Box(-1.0, 1.0, (2,)), view=spaces.Box(0, 255, (36, 36, 1), np.uint8), kind=spaces.Discrete(3)
    ),
}
ON_POLICY = {"n_steps": 16}
OFF_POLICY = {"buffer_size": 100, "learning_starts": 10}
ALGORITHMS = {
    # name: (package, class, arguments, action spaces)
    "ppo": (
        "stable_baselines3",
        "PPO",
        {**ON_POLICY, "batch_size": 8},
        ["discrete", "box", "multi_discrete", "multi_binary", "matrix"],
    ),
    "a2c": ("stable_baselines3", "A2C", ON_POLICY, ["discrete", "box", "multi_discrete", "multi_binary"]),
    "trpo": ("sb3_contrib", "TRPO", {**ON_POLICY, "batch_size": 8}, ["discrete", "box"]),
    "ppo_lstm": ("sb3_contrib", "RecurrentPPO", {**ON_POLICY, "batch_size": 8}, ["discrete", "box"]),
    "ppo_mask": ("sb3_contrib", "MaskablePPO", {**ON_POLICY, "batch_size": 8}, ["discrete"]),
    "sac": ("stable_baselines3", "SAC", OFF_POLICY, ["box", "matrix"]),
    "tqc": ("sb3_contrib", "TQC", OFF_POLICY, ["box"]),
    "crossq": ("sb3_contrib", "CrossQ", OFF_POLICY, ["box"]),
    "td3": ("stable_baselines3", "TD3", OFF_POLICY, ["box"]),
    "ddpg": ("stable_baselines3", "DDPG", OFF_POLICY, ["box"]),
    "ars": ("sb3_contrib", "ARS", {}, ["discrete", "box"]),
    "dqn": ("stable_baselines3", "DQN", OFF_POLICY, ["discrete"]),
    "qrdqn": ("sb3_contrib", "QRDQN", OFF_POLICY, ["discrete"]),
}
CASES = [(name, action, "vector", {}) for name, (_, _, _, actions) in ALGORITHMS.items() for action in actions]
CASES += [("ppo", "discrete", obs, {}) for obs in OBSERVATIONS if obs != "vector"]
CASES += [("sac", "box", "dict", {}), ("dqn", "discrete", "image_last", {}), ("td3", "box", "image_first", {})]
CASES += [(name, "box", "vector", {"use_sde": True}) for name in ("ppo", "a2c", "sac", "tqc")]
CASES += [("ars", "box", "vector", {"policy": "LinearPolicy"})]
CASES += [
    (name, "box", "vector", {"use_sde": True, "policy_kwargs": {"squash_output": True}}) for name in ("ppo", "a2c")
]
CASES += [("ppo", "box", "vector", {"policy_kwargs": {"activation_fn": torch.nn.Identity}})]
QUICK = {"timesteps": 320, "n_steps": 16, "n_envs": 4, "eval_episodes": 2, "select_episodes": 1}


def make_env(case):
    _, action, obs, _ = case
    return lambda: Any(OBSERVATIONS[obs], ACTIONS[action])


def make_model(case, seed=0):
    name, _, obs, extra = case
    package, cls, arguments, _ = ALGORITHMS[name]
    policy = "MultiInputPolicy" if obs == "dict" else "CnnPolicy" if obs.startswith("image") else "MlpPolicy"
    if name == "ppo_lstm":
        policy = policy.replace("Policy", "LstmPolicy")
    extra = dict(extra)
    policy = extra.pop("policy", policy)
    options = {"net_arch": [8]} if policy != "LinearPolicy" else {}
    options |= extra.pop("policy_kwargs", {})
    if name == "ppo_lstm":
        options["lstm_hidden_size"] = 8
    model = getattr(importlib.import_module(package), cls)
    return model(policy, make_env(case)(), seed=seed, device="cpu", policy_kwargs=options, **arguments, **extra)


@pytest.fixture(params=CASES, ids=lambda case: "-".join([*case[:3], *map(str, case[3])]))
def case(request):
    return request.param


@pytest.mark.filterwarnings("ignore:You are using `make_proba_distribution`")
def test_every_kind_goes_from_a_zip_to_a_student_that_acts_alone(case, tmp_path):
    model = make_model(case)
    model.save(tmp_path / "agent.zip")
    teacher = load_teacher(tmp_path / "agent.zip", env=make_env(case))
    assert teacher.provenance["algorithm"] == case[0]
    assert teacher.n_params > 0
    record = describe_zip(tmp_path / "agent.zip")
    assert (record["algorithm"], record["n_params"]) == (case[0], teacher.n_params)

    # The same labels as the live model, and the same executed actions as SB3.
    live = load_teacher(model)
    obs = _stack([make_env(case)().observation_space.sample() for _ in range(12)])
    starts = np.zeros((3, 4), bool)
    grid = _map(obs, lambda value: value.reshape(3, 4, *value.shape[1:]))
    assert isinstance(teacher, Teacher)
    labels = teacher.label(grid, starts)
    params = labels.params
    assert labels.value is None
    assert params.shape == (3, 4, teacher.family.n_params)
    assert torch.isfinite(params).all()
    assert not params.requires_grad
    assert torch.equal(params, live.label(grid, starts).params)
    if case[0] not in ("ppo_lstm",):
        expected, _ = model.predict(obs, deterministic=True)
        mode = teacher.action_map.execute(teacher.family.mode(params.reshape(12, -1)).numpy())
        start = getattr(model.action_space, "start", 0)
        assert np.allclose(mode, expected + (start if case[1] == "offset" else 0), atol=1e-5)

    result = distill(teacher, make_env(case), "mlp:6", **QUICK)
    path = result.student.save(tmp_path / "student.safetensors")
    student = load_student(path)
    chosen, _ = student.predict(obs, deterministic=True)
    with torch.no_grad():
        mode = teacher.family.mode(student.torch()(obs)).numpy()
    assert np.allclose(chosen, teacher.action_map.execute(mode), atol=1e-5)
    sampled, _ = student.predict(obs)
    assert all(student.action_space.contains(action) for action in [*chosen, *sampled])
    assert evaluate(student, make_env(case), 2).n_episodes == 2


def _stack(items):
    if isinstance(items[0], dict):
        return {key: np.stack([item[key] for item in items]) for key in items[0]}
    return np.stack(items)


def _map(obs, function):
    return {key: function(value) for key, value in obs.items()} if isinstance(obs, dict) else function(obs)


def test_a_recurrent_teacher_is_labelled_as_it_acts(tmp_path):
    case = ("ppo_lstm", "box", "vector", {})
    teacher = load_teacher(make_model(case))
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(10, 3, 3)).astype(np.float32)
    starts = rng.random((10, 3)) < 0.3
    starts[0] = True
    whole = teacher.label(obs, starts).params
    first, state, _ = teacher.label(obs[:4], starts[:4])
    second = teacher.label(obs[4:], starts[4:], state).params
    assert torch.allclose(torch.cat([first, second]), whole, atol=1e-6)
    state, actions = None, []
    for step in range(10):
        action, state = teacher.predict(obs[step], state, starts[step], True)
        actions.append(action)
    mode = teacher.action_map.execute(teacher.family.mode(whole.reshape(30, -1)).numpy())
    assert np.allclose(np.concatenate(actions), mode, atol=1e-5)
    forgetful = teacher.label(obs, np.ones_like(starts)).params
    assert not torch.allclose(forgetful, whole, atol=1e-4)


def test_masked_actions_are_never_taught_and_never_taken():
    case = ("ppo_mask", "discrete", "vector", {})
    teacher = load_teacher(make_model(case))
    masks = np.ones((5, 4, 3), bool)
    masks[:, :, 1] = False
    obs = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    params = teacher.label(obs, np.zeros((5, 4), bool), None, masks).params
    assert params.softmax(-1)[..., 1].max() == 0.0
    student = distill(teacher, make_env(case), "mlp:6", **QUICK).student
    assert student.takes_action_masks
    for deterministic in (True, False):
        actions, _ = student.predict(obs[0], deterministic=deterministic, action_masks=masks[0])
        assert not (actions == 1).any()


def test_bits_are_masked_as_choices_between_two(tmp_path):
    class Bits(Any):
        def action_masks(self):
            masks = np.ones((3, 2), bool)
            masks[0, self.t % 2] = False
            return masks.reshape(-1)

    def make():
        return Bits(BOX, ACTIONS["multi_binary"])

    model = MaskablePPO("MlpPolicy", make(), n_steps=16, batch_size=8, device="cpu", policy_kwargs={"net_arch": [8]})
    model.learn(16)
    teacher = load_teacher(model, env=make)
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    masks = np.ones((5, 6), bool)
    masks[:, 0] = False
    expected, _ = model.predict(obs, deterministic=True, action_masks=masks)
    params = teacher.label(obs[:, None], np.zeros((5, 1), bool), None, masks[:, None]).params
    assert np.array_equal(teacher.action_map.execute(teacher.family.mode(params[:, 0]).numpy()), expected)
    made = distill(teacher, make, "mlp:6", out=tmp_path / "run", **QUICK).student
    student = load_student(tmp_path / "run" / "student.safetensors")
    assert np.array_equal(student.predict(obs, deterministic=True)[0], made.predict(obs, deterministic=True)[0])
    chosen, _ = student.predict(obs, deterministic=True, action_masks=masks)
    assert (chosen[:, 0] == 1).all()
    for format, ending in (("onnx", ".onnx"), ("c", ""), ("numpy", ""), ("torchscript", ".pt"), ("sb3", ".zip")):
        assert export(student, tmp_path / f"{format}{ending}", format, n_states=64).parity.agreement == 1.0
    assert main(["info", str(tmp_path / "run" / "student.safetensors")]) == 0
    continued = student.to_sb3(make())
    assert np.array_equal(continued.predict(obs, deterministic=True)[0], student.predict(obs, deterministic=True)[0])
    assert all(student.action_space.contains(action) for action in chosen)


@pytest.mark.parametrize(
    ("name", "action", "start"), [("ppo", "offset", 4), ("dqn", "offset", 4), ("ppo_mask", "offset", 4)]
)
def test_choices_count_from_the_spaces_start_however_they_are_asked_for(name, action, start):
    model = make_model((name, action, "vector", {}))
    teacher = load_teacher(model)
    obs = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    expected = model.predict(obs, deterministic=True)[0] + start
    assert np.array_equal(teacher.predict(obs, deterministic=True)[0], expected)
    assert [teacher.predict(one, deterministic=True)[0] for one in obs] == expected.tolist()
    assert all(model.action_space.contains(one) for one in teacher.predict(obs)[0])


def test_sampled_gsde_has_the_marginal_deviation():
    teacher = load_teacher(make_model(("sac", "box", "vector", {"use_sde": True})))
    obs = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
    params = teacher.label(obs[None], np.zeros((1, 1), bool)).params
    actor, tensor = teacher.policy.actor, torch.from_numpy(obs)
    drawn = []
    with torch.no_grad():
        mean, _, arguments = actor.get_action_dist_params(tensor)
        for seed in range(3000):
            torch.manual_seed(seed)
            actor.reset_noise()
            noise = actor.action_dist.get_noise(arguments["latent_sde"])
            drawn.append((mean + noise)[0])
    found = torch.stack(drawn).std(dim=0)
    assert torch.allclose(found, params[0, 0, 2:].exp(), rtol=0.06)


def test_action_values_become_logits_scaled_to_their_gap():
    teacher = load_teacher(make_model(("dqn", "discrete", "vector", {})))
    obs = np.random.default_rng(0).normal(size=(50, 4, 3)).astype(np.float32)
    teacher = teacher.calibrated(obs)
    params = teacher.label(obs, np.zeros((50, 4), bool)).params
    with torch.no_grad():
        values = teacher.policy.q_net(torch.from_numpy(obs.reshape(-1, 3)))
    best, second = params.reshape(-1, 3).topk(2).values.unbind(1)
    assert (best - second).median().item() == pytest.approx(3.0, rel=1e-3)
    assert torch.equal(params.reshape(-1, 3).argmax(1), values.argmax(1))
    assert teacher.provenance["temperature"] > 0


def test_a_temperature_by_hand_stays_and_one_from_data_survives_a_checkpoint(tmp_path):
    case = ("dqn", "discrete", "vector", {})
    make_model(case).save(tmp_path / "agent.zip")
    by_hand = load_teacher(tmp_path / "agent.zip", temperature=0.5)
    assert by_hand.calibrated(np.zeros((2, 2, 3), np.float32)).temperature == 0.5
    for wrong in (0.0, -1.0):
        with pytest.raises(RequestError, match="above 0"):
            load_teacher(tmp_path / "agent.zip", temperature=wrong)
    with pytest.raises(RequestError, match="expected a DQN"):
        load_teacher(make_model(("ppo", "discrete", "vector", {})), temperature=1.0)

    student = distill(
        load_teacher(tmp_path / "agent.zip"), make_env(case), "mlp:4", out=tmp_path / "run", **QUICK
    ).student
    found = student.metadata["provenance"]["teacher"]["temperature"]
    settings = {**QUICK, "out": tmp_path / "run", "resume": True}
    resumed = distill(load_teacher(tmp_path / "agent.zip"), make_env(case), "mlp:4", **settings).student
    assert resumed.metadata["provenance"]["teacher"]["temperature"] == found > 0


def test_a_quantile_teacher_is_the_mean_over_its_quantiles():
    teacher = load_teacher(make_model(("qrdqn", "discrete", "vector", {})))
    obs = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    params = teacher.label(obs, np.zeros((4, 2), bool)).params
    with torch.no_grad():
        means = teacher.policy.quantile_net(torch.from_numpy(obs.reshape(-1, 3))).mean(dim=1)
    assert torch.equal(params.reshape(8, 3).argmax(1), means.argmax(1))


def test_a_student_may_read_some_keys_of_a_dict():
    case = ("ppo", "discrete", "dict", {})
    result = distill(
        load_teacher(make_model(case)), make_env(case), "mlp:4", observation_keys=("speed", "kind"), **QUICK
    )
    space = result.student.observation_space
    assert list(space) == ["speed", "kind"]
    assert result.student.n_params == 5 * 4 + 4 + 4 * 3 + 3
    full = make_env(case)().observation_space.sample()
    assert result.student.act(full) in (0, 1, 2)
    with pytest.raises(RequestError, match="observation_keys"):
        distill(load_teacher(make_model(case)), make_env(case), "mlp:4", observation_keys=("sped",), **QUICK)


@pytest.mark.parametrize("shape", ["image_last", "image_first"])
def test_an_image_student_is_a_small_cnn(shape, tmp_path):
    case = ("ppo", "discrete", shape, {})
    result = distill(load_teacher(make_model(case)), make_env(case), "cnn:4,8", activation="relu", **QUICK)
    student = load_student(result.student.save(tmp_path / "student.safetensors"))
    space = make_env(case)().observation_space
    obs = np.stack([space.sample() for _ in range(5)])
    with torch.no_grad():
        expected = student.torch()(obs).numpy()
    assert np.allclose(student.distribution_params(obs), expected, atol=1e-5)
    channels = {"image_last": 1, "image_first": 3}[shape]
    # 36 -> 17 -> 7 pixels: kernels of 4 with stride 2.
    assert student.n_params == channels * 4 * 16 + 4 + 4 * 8 * 16 + 8 + 7 * 7 * 8 * 3 + 3
    macs = channels * 4 * 16 * 17 * 17 + 4 * 8 * 16 * 7 * 7 + 7 * 7 * 8 * 3
    assert student.metadata["architecture"]["macs"] == macs
    with pytest.raises(RequestError, match="expected images"):
        distill(
            corridor_teacher(), lambda: Any(corridor_teacher().observation_space, spaces.Discrete(2)), "cnn:4", **QUICK
        )


def test_an_ensemble_is_the_mixture_of_its_members(tmp_path):
    case = ("ppo", "discrete", "vector", {})
    models = [make_model(case, seed) for seed in (0, 1)]
    models[0].save(tmp_path / "a.zip")
    teacher = load_teacher([tmp_path / "a.zip", models[1]], env=make_env(case))
    obs, starts = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32), np.zeros((4, 2), bool)
    together = teacher.label(obs, starts).params.softmax(-1)
    apart = [load_teacher(model).label(obs, starts).params.softmax(-1) for model in models]
    assert torch.allclose(together, (apart[0] + apart[1]) / 2, atol=1e-6)
    assert teacher.n_params == 2 * load_teacher(models[0]).n_params
    assert distill(teacher, make_env(case), "mlp:4", **QUICK).student.act(obs[0, 0]) in (0, 1, 2)
    other = make_model(("ppo", "box", "vector", {}))
    with pytest.raises(RequestError, match="one family"):
        load_teacher([models[0], other])


@pytest.mark.parametrize("obs", ["dict", "image_last", "discrete"])
def test_an_ensemble_takes_single_observations_of_every_kind(obs):
    case = ("ppo", "discrete", obs, {})
    teacher = load_teacher([make_model(case, seed) for seed in (0, 1)], env=make_env(case))
    batch = _stack([make_env(case)().observation_space.sample() for _ in range(3)])
    expected, _ = teacher.predict(batch, deterministic=True)
    singles = [teacher.predict(_map(batch, lambda value: value[i]), deterministic=True)[0] for i in range(3)]  # noqa: B023
    assert np.shape(singles) == (3,)
    assert singles == expected.tolist()


class Script:
    """A controller that takes one observation at a time."""

    def __init__(self, action_space):
        self.action_space = action_space

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        (x, _, _) = observation
        if isinstance(self.action_space, spaces.Discrete):
            return int(x > 0) * 2, None
        return np.array([-2.0 if x > 0 else 1.0, 2.5]), None


@pytest.mark.parametrize("action", ["discrete", "box"])
def test_a_script_is_a_teacher_too(action):
    env = lambda: Any(BOX, ACTIONS[action])  # noqa: E731
    teacher = load_teacher(Script(ACTIONS[action]), env=env)
    settings = {**QUICK, "timesteps": 4096, "n_steps": 64, "n_epochs": 30}
    result = distill(teacher, env, "mlp:16", **settings)
    assert result.evaluation["agreement"] > 0.9
    assert result.evaluation["kl"] is None if action == "box" else result.evaluation["kl"] < 1.0
    with pytest.raises(RequestError, match="expected env"):
        load_teacher(Script(ACTIONS[action]))


def test_a_script_with_a_memory_is_asked_step_by_step():
    class Alternating:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            count = np.zeros(len(observation), int) if state is None else np.where(episode_start, 0, state + 1)
            return count % 2, count

    teacher = load_teacher(Alternating(), env=lambda: Any(BOX, spaces.Discrete(2)))
    starts = np.zeros((6, 2), bool)
    starts[3, 1] = True
    params, state, _ = teacher.label(np.zeros((6, 2, 3), np.float32), starts)
    assert params.argmax(-1).T.tolist() == [[0, 1, 0, 1, 0, 1], [0, 1, 0, 0, 1, 0]]
    assert state.tolist() == [5, 2]


def test_clipped_and_squashed_actions_reach_the_environment_within_its_bounds():
    case = ("ppo", "box", "vector", {})
    student = distill(load_teacher(make_model(case)), make_env(case), "linear", **QUICK).student
    student = Student({**student.tensors, "network.0.bias": np.full(2, 10.0, np.float32)}, student.metadata)
    assert student.metadata["action_post_processing"]["kind"] == "clip"
    assert np.array_equal(student.act(np.zeros(3)), ACTIONS["box"].high)
    squashed = distill(
        load_teacher(make_model(("sac", "box", "vector", {}))), make_env(case), "linear", **QUICK
    ).student
    assert squashed.metadata["action_post_processing"]["kind"] == "unsquash"
    assert ACTIONS["box"].contains(squashed.act(np.full(3, 100.0)))


@pytest.mark.slow
def test_atari_pong_runs(tmp_path):
    import ale_py
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gymnasium.register_envs(ale_py)
    vec_env = VecFrameStack(make_atari_env("PongNoFrameskip-v4", 1), 4)
    PPO("CnnPolicy", vec_env, n_steps=8, batch_size=8, device="cpu").save(tmp_path / "agent.zip")
    vec_env.close()
    wrappers = ["AtariWrapper", "FrameStack:n_stack=4"]
    teacher = load_teacher(tmp_path / "agent.zip", env="PongNoFrameskip-v4", wrappers=wrappers)
    assert teacher.n_params == 8_224 + 32_832 + 36_928 + 1_606_144 + 3_078  # three convolutions and two layers
    settings = {"timesteps": 128, "n_steps": 16, "n_envs": 2, "batch_size": 32, "eval_episodes": 0}
    student = distill(teacher, "PongNoFrameskip-v4", "cnn:8,16", **settings).student
    assert student.observation_space.shape == (84, 84, 4)
    assert student.n_params < teacher.n_params / 20
    assert student.act(np.zeros((84, 84, 4), np.uint8)) in range(6)


def test_a_missing_package_names_what_to_install(monkeypatch, tmp_path):
    import builtins

    make_model(("tqc", "box", "vector", {})).save(tmp_path / "agent.zip")
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("ale_py"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(gymnasium, "registry", {k: v for k, v in gymnasium.registry.items() if "Pong" not in k})
    with pytest.raises(RequestError, match=r"pip install 'policy-distill\[atari\]'"):
        load_teacher(tmp_path / "agent.zip", env="ALE/Pong-v5")


def test_algorithms_are_named_in_any_way(tmp_path):
    make_model(("td3", "box", "vector", {})).save(tmp_path / "agent.zip")
    for name in ("td3", "TD3", "auto"):
        assert load_teacher(tmp_path / "agent.zip", algo=name).provenance["algorithm"] == "td3"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_teacher(tmp_path / "agent.zip", algo="td3", trust=True).provenance["algorithm"] == "td3"


def test_an_agent_of_hindsight_replay_is_opened_without_its_environment(tmp_path):
    class Goal(Any):
        def __init__(self):
            keys = ("observation", "achieved_goal", "desired_goal")
            super().__init__(spaces.Dict({key: BOX for key in keys}), ACTIONS["box"])

        def compute_reward(self, achieved_goal, desired_goal, info):
            return -np.abs(achieved_goal - desired_goal).sum(axis=-1)

    model = SAC("MultiInputPolicy", Goal(), replay_buffer_class=HerReplayBuffer, device="cpu", **OFF_POLICY)
    model.save(tmp_path / "agent.zip")
    obs = _stack([Goal().observation_space.sample() for _ in range(3)])
    for trust in (False, True):
        teacher = load_teacher(tmp_path / "agent.zip", env=Goal, trust=trust)
        assert np.array_equal(teacher.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_trusted_file_is_taken_for_what_it_is(tmp_path, name):
    case = (name, ALGORITHMS[name][3][0], "vector", {})
    make_model(case).save(tmp_path / "agent.zip")
    safe, trusted = load_teacher(tmp_path / "agent.zip"), load_teacher(tmp_path / "agent.zip", trust=True)
    assert trusted.provenance["algorithm"] == name
    obs, starts = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32), np.zeros((4, 2), bool)
    assert torch.equal(trusted.label(obs, starts).params, safe.label(obs, starts).params)


class OwnPolicy(ActorCriticPolicy):
    """A policy that SB3 does not ship."""


def test_a_policy_of_ones_own_is_refused_by_name_and_trusted_as_its_nearest_ancestor(tmp_path):
    options = {"n_steps": 8, "batch_size": 8, "device": "cpu"}
    PPO(OwnPolicy, Any(BOX, ACTIONS["discrete"]), **options).save(tmp_path / "agent.zip")
    with pytest.raises(RequestError, match=r"OwnPolicy.*trust=True"):
        load_teacher(tmp_path / "agent.zip")
    assert load_teacher(tmp_path / "agent.zip", trust=True).provenance["algorithm"] == "ppo"


def test_actions_transformed_by_the_caller_stay_the_callers():
    env = lambda: TransformAction(Any(BOX, ACTIONS["box"]), lambda a: a, ACTIONS["box"])  # noqa: E731
    assert distill(load_teacher(make_model(("ppo", "box", "vector", {}))), env, "linear", **QUICK).student is not None
