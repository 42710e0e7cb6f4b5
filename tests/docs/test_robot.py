"""docs/robot.md is run as it stands, with fewer steps, and its C is compiled against what it exports."""

import subprocess

import pytest

from policy_distill.exporters.c import compiler
from policy_distill.student.runtime import load_student
from tests.docs.blocks import Reader, blocks

PAGE = "docs/robot.md"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")
MAIN = """
int main(void) {
    const policy_obs usual[POLICY_N_OBS] = {0}, odd[POLICY_N_OBS] = {0, 1e6f, 0, 0};
    policy_action action[POLICY_N_ACTIONS];
    policy_reset();
    return !(step(usual, action) <= 1.0f && step(odd, action) > 1.0f && action[0] == POLICY_ACTION_RIGHT);
}
"""


@pytest.mark.slow
def test_what_the_page_says_works_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qrdqn-CartPole-v1").symlink_to(zoo / "qrdqn-CartPole-v1")
    # So few steps make no student that can do it, and its monitor is one of falling.
    said = Reader(tmp_path, {"distill": {"--timesteps": "4096", "--eval-episodes": "0", "--track": "disabled"}}).follow(
        PAGE
    )
    assert "found none for theta_velocity and the unknown theta_vel" in said and "['x_velocity']" in said
    assert load_student("equipped.safetensors").wiring.control_hz == 100.0
    header = (tmp_path / "cart_c" / "policy.h").read_text()
    excerpt, example = (code for language, code in blocks(PAGE) if language == "c")
    # The enumerations are shown on one line each.
    shown = excerpt.replace("50.0", "100.0").replace("{", "{ ").split()
    assert set(" ".join(shown).replace(",", "").split()) <= set(header.replace(",", "").split())
    (tmp_path / "main.c").write_text(example + MAIN)
    command = [compiler(), *STRICT, "-Icart_c", "main.c", "cart_c/policy.c", "-o", "main"]
    subprocess.run(command, check=True)
    subprocess.run([tmp_path / "main"], check=True)
