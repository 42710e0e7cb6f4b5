"""docs/generalisation.md is run as it stands, with fewer steps."""

import json
import re
import shlex
from pathlib import Path

from policy_distill.cli import main
from policy_distill.environments.perturbations.contexts import read_contexts

PAGE = (Path(__file__).parents[2] / "docs" / "generalisation.md").read_text()
QUICK = "--timesteps 2048 --eval-episodes 4 --select-episodes 2 --track disabled --out"


def test_what_the_page_on_generalisation_says_works_as_written(zoo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sac-Pendulum-v1").symlink_to(zoo / "sac-Pendulum-v1")
    blocks = re.findall(r"```(yaml|bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["yaml", "yaml", "yaml", "bash", "python", "python"]
    counts = []
    for language, code in blocks:
        if language == "yaml":
            (tmp_path / "contexts.yaml").write_text(code)
            contexts = read_contexts("contexts.yaml")
            counts.append((len(contexts), sum(one.seen for one in contexts)))
        elif language == "python":
            exec(code, {})
        else:
            for line in code.splitlines():
                quick = re.sub(r"--timesteps \d+ ", "", line)
                quick = quick.replace(
                    "--out", QUICK if line.startswith("policy-distill distill") else "--episodes 3 --out"
                )
                assert main(shlex.split(quick)[1:]) == 0, line
    assert counts[0] == (8, 2)
    assert counts[1][0] == 8
    assert counts[2] == (4, 2)
    found = json.loads((tmp_path / "swing" / "contexts.json").read_text())
    assert [one["seen"] for one in found["contexts"]] == [True, True, False, False]
    assert "env:g=9.0,env:g=11.0" in capsys.readouterr().out
    assert "held out of the training" in (tmp_path / "swing" / "report.html").read_text()
