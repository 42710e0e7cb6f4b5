"""docs/robot.md is run as it stands, with fewer steps, and its C is compiled against what it exports."""

import subprocess
from contextlib import closing

import gymnasium
import numpy as np
import pytest

from policy_distill.exporters.c import compiler
from policy_distill.student.runtime import load_student
from tests.docs.blocks import Reader, blocks

PAGE = "docs/robot.md"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")
MAIN = """
int main(void) {
    const policy_obs usual[POLICY_N_OBS] = {USUAL}, odd[POLICY_N_OBS] = {0, 1e6f, 0, 0};
    policy_action action[POLICY_N_ACTIONS];
    policy_reset();
    return !(step(usual, action) <= 1.0f && step(odd, action) > 1.0f && action[0] == POLICY_ACTION_RIGHT);
}
"""


def usual(student):
    """Return the middle of what a student sees in an episode."""
    with closing(gymnasium.make("CartPole-v1")) as env:
        obs, over, seen = env.reset(seed=0)[0], False, []
        while not over:
            seen.append(obs)
            obs, _, terminated, truncated, _ = env.step(student.act(obs))
            over = terminated or truncated
    return np.median(seen, axis=0)


@pytest.mark.slow
def test_what_the_page_says_works_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qrdqn-CartPole-v1").symlink_to(zoo / "qrdqn-CartPole-v1")
    said = Reader(tmp_path, {"distill": {"--timesteps": "4096", "--eval-episodes": "0", "--track": "disabled"}}).follow(
        PAGE
    )
    assert "found none for theta_velocity and the unknown theta_vel" in said and "['x_velocity']" in said
    student = load_student("equipped.safetensors")
    assert student.wiring.control_hz == 100.0
    header = (tmp_path / "cart_c" / "policy.h").read_text()
    excerpt, example = (code for language, code in blocks(PAGE) if language == "c")
    # The enumerations are shown on one line each.
    shown = excerpt.replace("50.0", "100.0").replace("{", "{ ").split()
    assert set(" ".join(shown).replace(",", "").split()) <= set(header.replace(",", "").split())
    (tmp_path / "main.c").write_text(example + MAIN.replace("USUAL", ", ".join(f"{x:.6f}f" for x in usual(student))))
    command = [compiler(), *STRICT, "-Icart_c", "main.c", "cart_c/policy.c", "-o", "main"]
    subprocess.run(command, check=True)
    subprocess.run([tmp_path / "main"], check=True)
