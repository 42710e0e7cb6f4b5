"""The blocks of a page, run in their order as a reader would, with smaller budgets.

`bash` blocks are executed. `sh` blocks, long measurements and other machines, are understood: each command is parsed.
`python` blocks share one namespace; one that begins with `# name.py` is that file. A `text` block after one of
them is its output.
"""

import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import tyro
import yaml

from policy_distill.cli import _parse, main

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# ([\w/]+\.(?:py|ya?ml))\n")
NUMBER = re.compile(r"(?<![\w:])[-+]?\d[\d,]*(?:\.\d+)?")
QUICK = {
    "train": {"--timesteps": "2048", "--n-envs": "2"},
    "distill": {"--timesteps": "2000", "--eval-episodes": "0", "--track": "disabled"},
    "compress": {
        **{"--timesteps": "512", "--n-steps": "32", "--eval-episodes": "4", "--max-episode-steps": "40"},
        **{"--students": "linear mlp:2", "--track": "disabled"},
    },
    "finetune": {"--timesteps": "12800", "--eval-episodes": "4", "--select-episodes": "2", "--track": "disabled"},
    "finetune es": {"--timesteps": "2048", "--eval-episodes": "4", "--select-episodes": "2", "--track": "disabled"},
    "transfer": {"--timesteps": "1024", "--eval-episodes": "4", "--select-episodes": "2", "--critic-steps": "0"},
    "suite": {"--dry-run": ""},
    "evaluate": {"--episodes": "3"},
    "compare": {"--episodes": "3"},
    "export": {"--states": "64"},
    "bench": {"--rounds": "1", "--cold-starts": "1"},
    "push": {"--dry-run": "", "--no-video": "", "--unproven": ""},
    "sync": {"--dry-run": ""},
    "dashboard": {"--offline": ""},
}
"""Options that make a command quick, and one with a certain word; what a page says of them gives way."""


def blocks(path):
    """Return (language, code) of every block of a page, by its path in the repository."""
    return FENCE.findall((ROOT / path).read_text(encoding="utf-8"))


def lines(code):
    """Return the commands of a shell block, joined where a backslash divides them, without comments."""
    joined = code.replace("\\\n", " ").splitlines()
    return [line for line in joined if shlex.split(line, comments=True)]


def with_options(words, options):
    """Return a command's words with these options in place of its own."""
    words = list(words)
    for option, value in options.items():
        if option in words:
            at = words.index(option)
            end = next((i for i in range(at + 1, len(words)) if words[i].startswith("--")), len(words))
            if not value:
                end = at + 1
            del words[at:end]
        words += [option, *value.split()]
    return words


def options_of(words, quick):
    """Return the options of a command, or of one with a word: `finetune es` goes before `finetune`."""
    fits = [key for key in quick if key.split()[0] == words[0] and set(key.split()) <= set(words)]
    return quick[max(fits, key=len)] if fits else {}


def understood(line):
    """Check that a command that is not run is one: of ours with options that it has, or another program's."""
    program, *words = shlex.split(line.replace("$POLICY_DISTILL_ZOO", "zoo"), comments=True)
    if program == "policy-distill" and words != ["--version"]:
        assert _parse(words) is not None, line
    elif program.startswith("python") and words[1].startswith("experiments."):
        module = importlib.import_module(words[1])
        source = Path(module.__file__).read_text()
        (config,) = re.findall(r"tyro\.cli\(\s*(\w+)", source)
        prefixes = (tyro.conf.OmitArgPrefixes,) if "OmitArgPrefixes" in source else ()
        tyro.cli(vars(module)[config], args=words[2:], config=prefixes)
    elif program == "make":
        assert f"\n{words[0]}:" in (ROOT / "Makefile").read_text(), line
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = re.search(r"\[([\w,]+)\]", line)
        assert asked is None or set(asked[1].split(",")) <= set(extras), line


@dataclass
class Reader:
    """Who follows a page in a folder of their own."""

    folder: Path
    quick: dict = field(default_factory=dict)
    """Options by command that go before those of `QUICK`."""
    swaps: tuple = ()
    """(pattern, replacement) in Python blocks and in the words of shell lines."""
    bound: float = 0.1
    """How far a number may be from the one that a page shows, as a share of it; 0.05 is always allowed."""
    names: dict = field(default_factory=dict)
    said: str = ""

    def follow(self, path):
        """Run every block of a page; return what all of it printed on stdout."""
        before = ""
        for language, code in blocks(path):
            if language == "text":
                self._compare(code, before)
                continue
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                self.do(language, code)
            before = out.getvalue() or before
            self.said += out.getvalue()
        return self.said

    def do(self, language, code):
        """Do what a block says."""
        if language in ("python", "yaml") and (named := NAMED.match(code)):
            (self.folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / named[1]).write_text(self._swapped(code))
        elif language == "python":
            exec(compile(self._swapped(code), "<page>", "exec"), self.names)
        elif language == "yaml":
            yaml.safe_load(code)
        elif language == "toml":
            tomllib.loads(code)
        elif language == "bash":
            for line in lines(code):
                self.run(line)
        elif language == "sh":
            for line in lines(code):
                understood(line)
        else:
            assert language in ("c", "cpp", "js", "mermaid", "ini"), f"a block of {language!r} that nothing runs"

    def run(self, line):
        """Run one line of a shell."""
        program, *words = shlex.split(
            self._swapped(line).replace("$POLICY_DISTILL_ZOO", str(zoo_folder())), comments=True
        )
        if program == "policy-distill" and not words[0].startswith("-"):
            done = main(with_options(words, options_of(words, {**QUICK, **self.quick})))
            assert done == 0, line
        elif program in ("pip", "make") or words[:1] == ["-m"]:
            understood(line)
        else:
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            done = subprocess.run(
                ["bash", "-euc", line], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
            )
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            print(done.stdout, end="")

    def _swapped(self, code):
        for pattern, replacement in self.swaps:
            code = re.sub(pattern, replacement, code)
        return code

    def _compare(self, shown, printed):
        """Hold each line that a page shows against what was printed: the same words, numbers within a tenth or so."""
        found = [shape(line) for line in printed.splitlines()]
        for line in shown.splitlines():
            if line.strip() in ("", "...", "…"):
                continue
            words, numbers = shape(line.removesuffix("..."))
            cut = line.endswith("...")
            alike = [other for text, other in found if text == words or (cut and text.startswith(words))]
            assert alike, f"no line as {line!r} in\n{printed}"
            assert any(near(numbers, other[: len(numbers)], self.bound) for other in alike), f"{line!r}, found {alike}"


def shape(line):
    """Return a line's words, spaces and rules evened out, and its numbers."""
    numbers = [float(number.replace(",", "")) for number in NUMBER.findall(line)]
    text = re.sub(r"\s+", " ", re.sub(r"-{3,}", "---", NUMBER.sub("#", line))).strip()
    return text, numbers


def near(shown, printed, bound):
    """Return whether numbers are those that a page shows, but for `bound` as a share of each, or 0.05."""
    return len(shown) == len(printed) and all(
        abs(a - b) <= max(0.05, bound * abs(a)) for a, b in zip(shown, printed, strict=True)
    )


def zoo_folder():
    """Return the folder of pre-trained agents; few pages need it, and they say so."""
    return Path(os.environ.get("POLICY_DISTILL_ZOO", "zoo"))
