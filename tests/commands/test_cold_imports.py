import subprocess
import sys

HEAVY = {"torch", "stable_baselines3", "sb3_contrib", "gymnasium", "scipy", "wandb", "onnx", "onnxruntime", "pandas"}

HELP = """
import contextlib, io, sys
from policy_distill.cli import main
from policy_distill.commands.table import COMMANDS
for words in {words}:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main([*words, "--help"])
    assert "usage: policy-distill" in said.getvalue()
print(*{{name.partition(".")[0] for name in sys.modules}}, *(name for name in sys.modules if "commands." in name))
"""


def loaded(words):
    """Return what is imported once the help pages of these words were shown, in a process of its own."""
    code = HELP.format(words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_list_of_commands_imports_none_of_them():
    found = loaded("[[]]")
    assert not found & {*HEAVY, "numpy", "safetensors"}
    assert {name for name in found if name.startswith("policy_distill.commands.")} == {
        "policy_distill.commands.table",
        "policy_distill.commands.usage",
    }


def test_help_of_no_command_imports_what_only_its_work_needs():
    assert not loaded("[[name] for name in COMMANDS]") & HEAVY


def test_a_command_is_shown_without_the_others():
    found = loaded('[["info"]]')
    assert "policy_distill.commands.info" in found
    assert "policy_distill.commands.distill" not in found
