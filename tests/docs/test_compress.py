"""The examples of docs/compress.md, with few steps and two small networks."""

import pytest

from tests.docs.blocks import Reader


@pytest.mark.slow
def test_what_the_page_on_compress_says_works_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LunarLander-v2.zip").symlink_to(zoo / "ppo-LunarLander-v2" / "LunarLander-v2.zip")
    few = 'timesteps=512, n_steps=32, eval_episodes=4, max_episode_steps=40, students=("linear", "mlp:2")'
    reader = Reader(tmp_path, swaps=(("timesteps=50_000", few),))
    reader.follow("docs/compress.md")
    found = reader.names["found"]
    assert {point.spec for point in found.front} <= {"linear", "mlp:2"}
    assert found.record.bar == 0.95
    assert (tmp_path / "student.safetensors").exists() and all(
        (tmp_path / "runs" / run / "compression.json").exists() for run in ("small", "found")
    )
