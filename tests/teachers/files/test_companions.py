"""What belongs to an agent is found under every name that the ecosystem uses, or the run stops."""

import json
import shutil
import warnings

import numpy as np
import pytest
import yaml

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.teachers.describe import describe_zip
from policy_distill.teachers.files.companions import companions_of, folders_of
from policy_distill.teachers.files.zoo_config import env_kwargs_of, environment_of, normalized_by, packages_of
from policy_distill.teachers.files.zoo_wrappers import wrappers_of
from policy_distill.teachers.load import load_teacher
from tests.layouts import ENV, LAYOUTS, agent, configure, hub, statistics, zoo


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_an_agent_acts_as_it_was_trained_or_not_at_all(layout, tmp_path):
    with warnings.catch_warnings():
        # SB3's, of an environment for judging of another type.
        warnings.simplefilter("ignore", UserWarning)
        outcome = layout.outcome(tmp_path)
    assert layout.holds(outcome), outcome
    assert "\n" not in outcome


def test_the_statistics_of_the_checkpoint_itself_are_taken(tmp_path):
    first, later = agent(), agent().learn(640)
    first.save(tmp_path / "a_64_steps.zip")
    statistics(first, tmp_path / "a_vecnormalize_64_steps.pkl")
    statistics(later, tmp_path / "vecnormalize.pkl")
    teacher = load_teacher(tmp_path / "a_64_steps.zip")
    assert np.array_equal(teacher.normalizer.mean, first.get_vec_normalize_env().obs_rms.mean)
    assert not np.array_equal(teacher.normalizer.mean, later.get_vec_normalize_env().obs_rms.mean)
    assert teacher.provenance["vecnormalize"] == "a_vecnormalize_64_steps.pkl"


def test_what_belongs_to_an_agent_is_found_again_where_it_is_put_beside_it(tmp_path):
    zoo(tmp_path / "run", agent())
    configure(tmp_path / "run" / ENV, {"normalize": True}, {"env": ENV, "env_kwargs": {"x": 1}})
    for name in ("best_model.zip", f"{ENV}.zip"):
        path, moved = next((tmp_path / "run").rglob(name)), tmp_path / f"moved-{name}"
        moved.mkdir()
        for one in (path, *companions_of(path)):
            shutil.copy(one, moved / one.name)
        here, there = load_teacher(path), load_teacher(moved / name)
        assert np.array_equal(here.normalizer.mean, there.normalizer.mean)
        assert here.env_kwargs == there.env_kwargs == {"x": 1}
    # Two runs beside one checkpoint: nobody knows whose it is.
    shutil.copytree(tmp_path / "run" / ENV, tmp_path / "run" / "Other-v0")
    assert companions_of(tmp_path / "run" / "best_model.zip") == []


def test_statistics_that_differ_are_both_named_and_one_can_be_chosen(tmp_path):
    model = agent()
    model.save(tmp_path / "agent.zip")
    statistics(model, tmp_path / "vecnormalize.pkl")
    statistics(agent(clip_obs=2.0), tmp_path / "agent" / "vecnormalize.pkl")
    with pytest.raises(RequestError, match=r"vecnormalize\.pkl and .*agent/vecnormalize\.pkl.*--vecnormalize"):
        load_teacher(tmp_path)
    chosen = load_teacher(tmp_path, vecnormalize=tmp_path / "vecnormalize.pkl")
    assert chosen.normalizer.clip == 10.0
    assert chosen.asked_for["vecnormalize"] == str(tmp_path / "vecnormalize.pkl")


def test_a_teacher_knows_the_options_that_load_it_again(tmp_path):
    model = agent()
    model.save(tmp_path / "agent.zip")
    declined = load_teacher(tmp_path / "agent.zip", vecnormalize=False, wrappers=[]).asked_for
    expected = {"teacher": str(tmp_path / "agent.zip"), "vecnormalize": "none", "wrapper": ["none"], "trust": False}
    assert declined == {**expected, "algo": None, "temperature": None}
    again = load_teacher(declined["teacher"], vecnormalize=declined["vecnormalize"], wrappers=declined["wrapper"])
    assert again.asked_for == declined
    live = load_teacher(tmp_path / "agent.zip", vecnormalize=model.get_vec_normalize_env()).asked_for
    assert live == {"missing": "its teacher's statistics are not a file"}
    statistics(model, tmp_path / "vecnormalize.pkl")
    plain = load_teacher(tmp_path, algo="ppo", wrappers=["FlattenObservation"]).asked_for
    assert (plain["vecnormalize"], plain["wrapper"], plain["algo"]) == (None, ["FlattenObservation"], "ppo")


def test_a_live_model_without_its_statistics_is_refused(tmp_path):
    model = agent()
    model.save(tmp_path / "agent.zip")
    lone = type(model).load(tmp_path / "agent.zip", device="cpu")
    with pytest.raises(RequestError, match="this PPO was trained on observations that VecNormalize normalised"):
        load_teacher(lone)
    assert load_teacher(lone, vecnormalize=False).normalizer is None
    assert load_teacher(lone, vecnormalize=model.get_vec_normalize_env()).normalizer is not None
    assert load_teacher(lone, env=model.get_env()).normalizer is not None
    assert load_teacher(agent(normalized=False)).normalizer is None


def test_the_zoos_folder_gives_its_last_agent_and_says_so(tmp_path, caplog):
    folder = zoo(tmp_path / "run", agent())
    assert load_teacher(folder).provenance["source"] == f"{ENV}.zip"
    assert "several agents" in caplog.text
    (folder / f"{ENV}.zip").unlink()
    with pytest.raises(RequestError, match=r"found best_model\.zip, rl_model_64_steps\.zip; name the zip"):
        load_teacher(folder)


def test_the_zoos_runs_side_by_side_are_not_mixed_up(tmp_path):
    zoo(tmp_path, agent())
    shutil.copytree(tmp_path / ENV, tmp_path / "Other-v0")
    with pytest.raises(RequestError, match="files of one run"):
        load_teacher(tmp_path / "best_model.zip")
    assert load_teacher(tmp_path / f"{ENV}.zip").normalizer is not None
    assert folders_of(tmp_path / "other.zip") == [tmp_path, tmp_path / "other"]


@pytest.mark.parametrize(
    ("args", "config", "expected"),
    [
        ({"gravity": -5.0, "enable_wind": True}, None, {"gravity": -5.0, "enable_wind": True}),
        (None, {"gravity": -5}, {"gravity": -5}),
        (None, "dict(gravity=-5.0, names=['a'])", {"gravity": -5.0, "names": ["a"]}),
        (["gravity:-5.0", "text:'a:b'"], None, {"gravity": -5.0, "text": "a:b"}),
        ({"render_mode": "human"}, None, {}),
        (None, None, {}),
    ],
)
def test_constructor_arguments_are_read_from_the_configuration(tmp_path, args, config, expected):
    configure(tmp_path, {"env_kwargs": config} if config else {}, {"env_kwargs": args})
    assert env_kwargs_of(tmp_path / "agent.zip") == expected


def test_constructor_arguments_are_part_of_the_teacher(tmp_path):
    folder = hub(tmp_path / "hub", agent(), gravity=-5.0)
    teacher = load_teacher(folder)
    assert teacher.env_kwargs == teacher.provenance["env_kwargs"] == {"gravity": -5.0}
    assert load_teacher(folder, env_kwargs={"gravity": -1.0, "wind": 2}).env_kwargs == {"gravity": -1.0, "wind": 2}
    (folder / "env_kwargs.yml").write_text(yaml.safe_dump({"gravity": -9.0}))
    with pytest.raises(RequestError, match=r"args\.yml and env_kwargs\.yml .*'gravity'.*--env-kwargs"):
        load_teacher(folder)
    assert load_teacher(folder, env_kwargs={"gravity": -1.0}).env_kwargs == {"gravity": -1.0}


@pytest.mark.parametrize(
    "text", ["dict(a=open('x'))", "__import__('os').system('touch payload-ran')", "dict(**{})", "["]
)
def test_arguments_that_are_no_literals_are_refused_and_nothing_runs(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, {"env_kwargs": text, "normalize": text})
    for read in (env_kwargs_of, normalized_by):
        with pytest.raises(RequestError, match="not understood"):
            read(tmp_path / "agent.zip")
    assert not (tmp_path / "payload-ran").exists()


@pytest.mark.parametrize("key", ["env_kwargs", "normalize", "vec_env_wrapper", "env_wrapper"])
def test_a_list_that_holds_itself_a_billion_times_is_refused_at_once(tmp_path, key):
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    value = "{x: *a11}" if key == "env_kwargs" else "*a11"
    for name in ("config.yml", "args.yml"):
        (tmp_path / name).write_text("\n".join([*lines, f"{key}: {value}"]))
    read = {"env_kwargs": env_kwargs_of, "normalize": normalized_by}.get(key, wrappers_of)
    with pytest.raises(RequestError, match="not understood"):
        read(tmp_path / "agent.zip")
    assert not (key == "vec_env_wrapper" and normalized_by(tmp_path / "agent.zip"))


def test_the_environment_is_named_by_the_configuration_and_by_the_hubs_file_name(tmp_path):
    assert environment_of(tmp_path / "ppo-Walker2d-v3.zip") == "Walker2d-v3"
    assert environment_of(tmp_path / "my-Walker2d-v3.zip") == "my-Walker2d-v3"
    configure(tmp_path, {}, {"env": "my_package:Walk-v0", "gym_packages": ["my_package"]})
    assert environment_of(tmp_path / "best_model.zip") == "my_package:Walk-v0"
    assert packages_of(tmp_path / "best_model.zip") == ["my_package"]


def test_wrappers_of_vectors_stand_before_the_zoos_frames(tmp_path):
    config = {
        "env_wrapper": ["rl_zoo3.wrappers.FrameSkip", {"rl_zoo3.wrappers.HistoryWrapper": {"horizon": 3}}],
        "vec_env_wrapper": [{"stable_baselines3.common.vec_env.VecFrameStack": {"n_stack": 2}}],
        "frame_stack": 4,
    }
    configure(tmp_path, config)
    assert wrappers_of(tmp_path / "agent.zip") == [
        {"name": "FrameSkip", "kwargs": {}},
        {"name": "HistoryWrapper", "kwargs": {"horizon": 3}},
        {"name": "FrameStack", "kwargs": {"n_stack": 2}},
        {"name": "FrameStack", "kwargs": {"n_stack": 4}},
    ]


def test_a_file_whose_statistics_are_missing_is_still_described(tmp_path, capsys):
    folder = hub(tmp_path / "hub", agent(), with_statistics=False, gravity=-5.0)
    record = describe_zip(folder)
    assert "statistics are missing" in record["missing"]
    assert (record["env_id"], record["env_kwargs"]) == (ENV, {"gravity": -5.0})
    assert main(["info", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vecnormalize"] is None


def test_the_command_line_says_what_is_missing_in_one_line(tmp_path, capsys):
    folder = hub(tmp_path / "hub", agent(), with_statistics=False)
    assert main(["evaluate", str(folder), "--env", "CartPole-v1"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "--vecnormalize none" in lines[-1]
