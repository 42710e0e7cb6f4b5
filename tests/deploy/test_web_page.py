"""The page of format web: its physics, its policy at work in a browser, and what it says."""

import copy
import json
import shutil
import subprocess

import gymnasium
import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.exporters.export import export
from policy_distill.exporters.web import page, scene
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.view import view_of
from tests.deploy.pages import HERE, dataset, texts
from tests.doubles import Corridor, cartpole_teacher
from tests.report.test_report import HOSTILE, browser, open_in_browser, share_of
from tests.students import make_student
from tests.training.test_policy import make_policy

PUSH = torch.tensor([0.2, 0.6, 4.0, 4.0])
POLE = (0xC9, 0x82, 0x2F)
BLUE = (10, 20, 200)


def balancing(env_id="CartPole-v1"):
    """Return a student that balances: it pushes towards where the pole falls."""
    policy = make_policy(cartpole_teacher(), "linear", normalized=False)
    with torch.no_grad():
        policy.network[0].weight.copy_(torch.stack([-PUSH, PUSH]))
        policy.network[0].bias.zero_()
    return Student.of(policy.to_record({"env_id": env_id, "algorithm": "formula"}))


class Drawn(Corridor):
    """Six numbers of which one moves, of any action space; it can draw itself, and rules out actions."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(self, student, render_mode=None):
        super().__init__(length=12)
        self.observation_space, self.action_space = student.observation_space, student.action_space
        self.render_mode = render_mode
        self.rng = np.random.default_rng(0)

    def _obs(self):
        return np.random.default_rng(self.t).normal(0, 2, self.observation_space.shape).astype(np.float32)

    def step(self, action):
        obs, _, ended, cut, info = super().step(0)
        return obs, 1.0, ended, cut, info

    def action_masks(self):
        return np.random.default_rng(100 + self.t).random(4) < 0.5 if self.t % 3 else np.arange(4) == self.t % 4

    def render(self):
        return np.full((100, 150, 3), BLUE, np.uint8)


def drawn_in(student):
    return lambda render_mode=None: Drawn(student, render_mode)


def test_cartpole_in_the_page_is_gymnasiums(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("no node here")
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=3)
    rng, states, actions, fell = np.random.default_rng(0), [env.state], [], []
    for _ in range(60):
        actions.append(int(rng.integers(2)))
        fell.append(bool(env.step(np.int64(actions[-1]))[2]))
        states.append(env.state)
        if fell[-1]:
            break
    assert fell[-1], "such an episode ends"
    code = f"""
    let state = {json.dumps([float(one) for one in states[0]])}, found = [];
    for (const action of {actions}) {{
      state = CARTPOLE.step(state, action);
      found.push([...state, CARTPOLE.fell(state)]);
    }}
    console.log(JSON.stringify(found));"""
    (tmp_path / "run.js").write_text((HERE / "cartpole.js").read_text() + code)
    done = subprocess.run(["node", tmp_path / "run.js"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert np.allclose([row[:4] for row in found], states[1:], rtol=1e-9, atol=1e-12)
    assert [row[4] for row in found] == fell


@browser
def test_the_policy_plays_cartpole_in_the_page_and_every_action_is_computed_there(tmp_path):
    path = tmp_path / "cartpole.html"
    found = export(balancing(), path, "web", n_states=256)
    assert found.facts == {"scene": "cartpole"} and found.parity.states == "CartPole-v1"
    document, console, picture = open_in_browser(path, fragment="1600", size=(1000, 900))
    assert not console
    counted = dataset(document)
    # Three episodes to their end, from three beginnings.
    assert int(counted["steps"]) >= 1600 and int(counted["episodes"]) == 3 and counted["last"] == "500"
    # A twentieth of a unit to either side and one long, in a canvas 4.8 units wide: 0.4% of the picture.
    assert share_of(picture, POLE) > 0.002
    for words in ("x_velocity", "theta", "push left", "FORMULA", "100.00% of its actions"):
        assert words in document
    # A policy that is none falls at once: the page plays what it was given.
    spoilt = path.read_text().replace('"start": 0', '"start": 1')
    assert spoilt != path.read_text()
    (tmp_path / "other.html").write_text(spoilt)
    counted = dataset(open_in_browser(tmp_path / "other.html", fragment="300")[0])
    assert int(counted["last"]) < 60


@browser
def test_a_student_that_sees_a_part_plays_by_that_part(tmp_path):
    whole = balancing().metadata
    view = view_of(whole["observation_space"], ("2-3",), "CartPole-v1")
    policy = make_policy(cartpole_teacher(), "linear", normalized=False)
    tensors = {name: array.copy() for name, array in Student.of(policy.to_record({})).tensors.items()}
    weight, bias = (next(name for name in tensors if name.endswith(end)) for end in ("weight", "bias"))
    tensors |= {weight: np.array([[-4, -4], [4, 4]], np.float32), bias: np.zeros(2, np.float32)}
    student = Student(tensors, {**whole, "observation_space": view.space, "view": view.to_json()})
    path = tmp_path / "part.html"
    assert export(student, path, "web", n_states=64).facts == {"scene": "cartpole"}
    document, console, _ = open_in_browser(path, fragment="200")
    assert not console and "theta_velocity" in document and "x_velocity" not in texts(document, "seen")
    # What pushes towards where the pole falls keeps it up until the cart has left the track.
    assert int(dataset(document).get("last", 200)) > 60


@browser
@pytest.mark.parametrize(
    ("kind", "masked"),
    [
        (("vector", "discrete", "mlp:16,8", "tanh"), False),
        (("vector", "discrete", "mlp:16,8", "tanh"), True),
        (("vector", "squashed", "history:3a+mlp:8", "tanh"), False),
    ],
)
def test_a_recorded_episode_is_acted_again_in_the_page(kind, masked, tmp_path):
    student = make_student(kind)
    if masked:
        student = Student(student.tensors, {**student.metadata, "takes_action_masks": True})
    path = tmp_path / "page.html"
    assert export(student, path, "web", env=drawn_in(student), n_states=64).facts == {"scene": "recorded"}
    document, console, picture = open_in_browser(path, fragment="12", size=(1000, 900))
    assert not console
    counted = dataset(document)
    assert counted["steps"] == counted["equal"] == "12"
    assert "12 of 12" in document and share_of(picture, BLUE) > 0.1


@browser
def test_without_an_environment_the_reader_moves_the_numbers(tmp_path):
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    path = tmp_path / "page.html"
    assert export(student, path, "web", n_states=64).facts == {"scene": "hand"}
    document, console, _ = open_in_browser(path)
    assert not console and document.count('type="range"') == 5
    action = [float(one) for one in texts(document, "action").split(", ")]
    assert np.allclose(action, student.act(np.zeros(5, np.float32)), atol=1e-4)


@browser
def test_a_picture_is_not_shown_number_by_number_and_is_acted_on(tmp_path):
    student = make_student(("image_last", "discrete", "mlp:8", "relu"))
    larger = make_student(("float_first", "discrete", "cnn:4,4+mlp:8", "relu"))
    for one in (student, larger):
        path = tmp_path / "page.html"
        found = export(one, path, "web", n_states=32, overwrite=True)
        document, console, _ = open_in_browser(path)
        assert not console and found.facts == {"scene": "hand"} and 'type="range"' not in document
        zeros = np.zeros(one.plan.featurizer.parts[0].shape, one.plan.featurizer.parts[0].dtype)
        assert texts(document, "action") == str(int(one.act(zeros)))
    assert "360 numbers, too many to show" in document


@browser
def test_what_a_file_says_of_itself_is_text_in_the_page(tmp_path):
    student = make_student(("vector", "discrete", "mlp:16,8", "tanh"))
    provenance = {**student.metadata["provenance"], "env_id": HOSTILE, "algorithm": HOSTILE}
    student = Student(student.tensors, {**student.metadata, "provenance": provenance})
    export(student, tmp_path / "page.html", "web", n_states=64)
    document, console, _ = open_in_browser(tmp_path / "page.html")
    assert not console and "<title>pwned" not in document and "<img" not in document
    assert "default-src 'none'" in (tmp_path / "page.html").read_text()


def test_an_environment_that_cannot_be_drawn_is_said_and_leaves_numbers_to_move(caplog):
    student = make_student(("vector", "discrete", "mlp:16,8", "tanh"))
    found = scene.make_scene(student, lambda render_mode=None: Corridor())
    assert found is scene.BY_HAND and "the page has no recorded episode" in caplog.text


def test_cartpole_of_other_arguments_or_another_limit_is_recorded_not_played():
    spec = copy.deepcopy(gymnasium.spec("CartPole-v1"))
    assert scene.make_scene(balancing(), spec).kind == "cartpole"
    spec.kwargs["sutton_barto_reward"] = True
    assert scene.make_scene(balancing(), spec).kind == "recorded"


def test_without_node_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(page.shutil, "which", lambda name: None)
    with pytest.raises(RequestError, match=r"expected Node\.js"):
        export(make_student(("vector", "discrete", "mlp:16,8", "tanh")), tmp_path / "page.html", "web", n_states=16)
    assert not list(tmp_path.iterdir())


def test_pictures_are_png_that_others_read(tmp_path):
    image = pytest.importorskip("PIL.Image")
    frame = np.random.default_rng(0).integers(0, 255, (7, 10, 3)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(scene.png(frame))
    assert np.array_equal(np.array(image.open(tmp_path / "a.png").convert("RGB")), frame)


def test_the_page_names_the_student_that_it_was_made_of(tmp_path):
    saved = balancing().save(tmp_path / "student.safetensors")
    export(load_student(saved), tmp_path / "page.html", "web", n_states=16)
    data = json.loads((tmp_path / "page.html").read_text().partition('id="policy">')[2].partition("</script>")[0])
    assert data["record"]["student_sha256"] == load_student(saved).metadata["sha256"]
    assert data["record"]["parity"]["passed"] is True and "scene" not in data["record"]
