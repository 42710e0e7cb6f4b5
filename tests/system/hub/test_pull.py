"""Agents and students are fetched from a hub by a list of names, within bounds, and every refusal is one line."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from policy_distill import load_student, load_teacher
from policy_distill.errors import RequestError, RunFault
from policy_distill.system.hub.address import is_address, parse_address
from policy_distill.system.hub.pull import forget, pull
from policy_distill.teachers.files.claims import claimed_by
from tests.hub_server import Repository, hub_at_work, hub_in_use
from tests.students import KINDS, make_student

REPO = "sb3/ppo-LunarLander-v2"
CARD = b"""---
library_name: stable-baselines3
model-index:
- name: PPO
  results:
  - metrics:
    - type: mean_reward
      value: 242.12 +/- 31.82
---
# PPO
"""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_in_use(monkeypatch, tmp_path / "cache") as hub:
        yield hub


@pytest.fixture
def agent(zoo):
    """A repository as the RL Zoo uploads it, with what is not to be fetched."""
    folder = zoo / "ppo-LunarLander-v2"
    files = {"ppo-LunarLander-v2.zip": (folder / "LunarLander-v2.zip").read_bytes()}
    files |= {name: (folder / name).read_bytes() for name in ("args.yml", "config.yml")}
    files |= {"README.md": CARD, "replay.mp4": b"a film", "train_eval_metrics.zip": b"PK", "evil.py": b"boom"}
    files |= {"ppo-LunarLander-v2/policy.pth": b"weights"}
    return Repository(files)


def test_an_agent_is_fetched_with_what_belongs_to_it_and_nothing_else(hub, agent, zoo):
    hub.repositories[REPO] = agent
    teacher = load_teacher(f"hf://{REPO}")
    local = load_teacher(zoo / "ppo-LunarLander-v2")
    assert hub.fetched() == ["README.md", "args.yml", "config.yml", "ppo-LunarLander-v2.zip"]
    assert teacher.provenance["hub"] == {"repo": REPO, "commit": agent.commit, "file": "ppo-LunarLander-v2.zip"}
    assert teacher.provenance["sha256"] == local.provenance["sha256"]
    obs = np.linspace(-1, 1, 8, dtype=np.float32)[None]
    assert teacher.predict(obs, deterministic=True)[0] == local.predict(obs, deterministic=True)[0]


def test_the_statistics_of_an_agent_come_with_it_under_each_of_their_names(hub, zoo):
    folder = zoo / "a2c-Acrobot-v1"
    files = {"a2c-Acrobot-v1.zip": (folder / "Acrobot-v1.zip").read_bytes()}
    statistics = (folder / "vecnormalize.pkl").read_bytes()
    for name in ("vec_normalize.pkl", "vecnormalize.pkl", "a2c-Acrobot-v1/vecnormalize.pkl"):
        forget()
        hub.repositories["sb3/a2c-Acrobot-v1"] = Repository({**files, name: statistics})
        teacher = load_teacher("hf://sb3/a2c-Acrobot-v1")
        expected = load_teacher(folder).normalizer
        assert np.array_equal(teacher.normalizer.mean, expected.mean)


def test_a_resumed_run_asks_for_the_commit_that_was_fetched(hub, agent):
    hub.repositories[REPO] = agent
    teacher = load_teacher(f"hf://{REPO}")
    assert teacher.asked_for["teacher"] == f"hf://{REPO}@{agent.commit}/ppo-LunarLander-v2.zip"


def test_what_a_repository_claims_is_kept_beside_and_results_come_before_the_card(hub, agent):
    hub.repositories[REPO] = agent
    claims = claimed_by(load_teacher(f"hf://{REPO}"))
    assert (claims.mean_reward, claims.std_reward, claims.file) == (242.12, 31.82, "its card")
    agent.files["results.json"] = json.dumps({"mean_reward": 280.5, "std_reward": 9.0, "n_eval_episodes": 10}).encode()
    forget()
    claims = claimed_by(load_teacher(f"hf://{REPO}"))
    assert str(claims) == "280.50 ± 9.00 in 10 episodes, says results.json"


@pytest.mark.parametrize("card", [b"---\nmodel-index: 3\n---", b"---\n{[", b"---\n- a: &a [*a]\n---", b"\xff\xfe", b""])
def test_a_card_that_makes_no_sense_claims_nothing(hub, agent, card):
    hub.repositories[REPO] = agent
    agent.files["README.md"] = card
    assert claimed_by(load_teacher(f"hf://{REPO}")) is None


def test_a_student_is_loaded_from_the_hub(hub, tmp_path):
    student = make_student(KINDS[0])
    student.save(tmp_path / "student.safetensors")
    hub.repositories["me/small"] = Repository({"student.safetensors": (tmp_path / "student.safetensors").read_bytes()})
    found = load_student("hf://me/small")
    assert all(np.array_equal(found.tensors[name], tensor) for name, tensor in student.tensors.items())


def test_what_was_fetched_is_taken_from_the_cache_where_the_hub_is_gone(hub, agent, caplog):
    hub.repositories[REPO] = agent
    first = pull(f"hf://{REPO}")
    forget()
    hub.status = 503
    again = pull(f"hf://{REPO}")
    assert again == first
    assert "taking what was fetched before" in caplog.text
    with pytest.raises(RunFault, match="status 503"):
        pull("hf://sb3/another")


def test_a_large_file_is_fetched_from_where_the_hub_says_it_lies(hub, agent):
    hub.repositories[REPO] = agent
    hub.redirected.add("ppo-LunarLander-v2.zip")
    assert pull(f"hf://{REPO}").path.read_bytes() == agent.files["ppo-LunarLander-v2.zip"]


def test_a_revision_is_taken_and_one_that_is_not_there_refused(hub, agent):
    hub.repositories[REPO] = agent
    assert pull(f"hf://{REPO}@{agent.commit}").address.revision == agent.commit
    with pytest.raises(RequestError, match="branch, tag or commit"):
        pull(f"hf://{REPO}@v9")


@pytest.mark.parametrize(
    ("address", "files", "words"),
    [
        ("hf://sb3/nothing", None, "found none at hf://sb3/nothing"),
        ("hf://me/empty", {}, "found no file"),
        ("hf://me/words", {"README.md": b"", "train_eval_metrics.zip": b"PK"}, "expected an agent's zip"),
        ("hf://me/two", {"a.zip": b"PK", "b.zip": b"PK"}, r"found a.zip, b.zip; say which: hf://me/two/a.zip"),
        ("hf://me/two/c.zip", {"a.zip": b"PK", "b.zip": b"PK"}, "expected c.zip in me/two"),
        ("hf://me/two/a.py", {"a.py": b""}, "another kind of file"),
    ],
)
def test_a_repository_without_one_agent_is_refused_in_one_line(hub, address, files, words):
    if files is not None:
        hub.repositories["/".join(address.split("/")[2:4])] = Repository(files)
    with pytest.raises(RequestError, match=words) as caught:
        pull(address)
    assert "\n" not in str(caught.value)
    assert hub.fetched() == []


@pytest.mark.parametrize("address", ["hf://", "hf://alone", "hf://a/b/../../c.zip", "hf://a/../b", "hf://a b/c"])
def test_an_address_that_names_no_repository_is_refused(address):
    assert is_address(address)
    with pytest.raises(RequestError, match="expected hf://"):
        parse_address(address)


def test_a_private_repository_says_how_to_log_in(hub, agent):
    agent.private = True
    hub.repositories[REPO] = agent
    with pytest.raises(RequestError, match="HF_TOKEN"):
        pull(f"hf://{REPO}")


def test_a_file_larger_than_any_agent_is_not_fetched(hub, agent):
    hub.repositories[REPO] = agent
    hub.lies["config.yml"] = 10**9
    with pytest.raises(RequestError, match="at most 1,048,576 bytes"):
        pull(f"hf://{REPO}")
    assert "config.yml" not in hub.fetched()


@pytest.mark.parametrize("endless", [False, True])
def test_a_lying_size_leaves_nothing(hub, agent, tmp_path, endless):
    hub.repositories[REPO] = agent
    hub.lies["ppo-LunarLander-v2.zip"] = 5_000
    if endless:
        hub.endless.add("ppo-LunarLander-v2.zip")
    with pytest.raises(RunFault, match="another number of bytes"):
        pull(f"hf://{REPO}")
    assert not list(tmp_path.rglob("*.incomplete"))
    assert not list(tmp_path.rglob("ppo-LunarLander-v2.zip"))


def test_a_hostile_zip_is_refused_as_a_local_one_is(hub):
    hub.repositories["me/evil"] = Repository({"evil.zip": b"PK\x03\x04 and no more"})
    with pytest.raises(RequestError, match="truncated or damaged"):
        load_teacher("hf://me/evil")


def test_a_server_that_fails_is_a_fault_and_no_request(hub, agent):
    hub.repositories[REPO] = agent
    hub.status = 500
    with pytest.raises(RunFault, match="status 500"):
        pull(f"hf://{REPO}")


def _command(hub, cache, *arguments, **more):
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", **more}
    command = [sys.executable, "-m", "policy_distill", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_the_command_line_reads_the_hub_and_shows_what_is_claimed_beside_what_is_measured(agent, tmp_path):
    with hub_at_work() as hub:
        hub.repositories[REPO] = agent
        done = _command(
            hub, tmp_path, "evaluate", f"hf://{REPO}", "--env", "LunarLander-v3", "--episodes", "2", "--json"
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["claimed"]["mean_reward"] == 242.12
    assert agent.commit in done.stderr


def test_the_command_line_ends_with_1_where_the_hub_is_silent_and_with_2_where_it_refuses(tmp_path):
    with hub_at_work() as hub:
        missing = _command(hub, tmp_path, "info", f"hf://{REPO}")
        hub.delay = 30
        began = time.monotonic()
        silent = _command(hub, tmp_path, "info", f"hf://{REPO}", HF_HUB_ETAG_TIMEOUT="1")
        assert time.monotonic() - began < 29, "the timeout of the environment counts"
    assert (missing.returncode, silent.returncode) == (2, 1), silent.stderr
    assert len(missing.stderr.splitlines()) == len(silent.stderr.splitlines()) == 1, silent.stderr
