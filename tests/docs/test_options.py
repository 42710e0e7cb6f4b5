"""Every option of every command is in the guide of its subject, not only in the list of the command line's page."""

import re
from pathlib import Path

import pytest

from policy_distill.cli import main
from policy_distill.commands.table import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = {path.name: path.read_text() for path in DOCS.glob("*.md") if path.name != "command_line.md"}


def options_of(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    # In a terminal of this kind an option begins its line after two spaces, and its other form follows a comma.
    lines = re.findall(r"^  (--[a-z][a-z0-9-]*)(?:, (--no-[a-z0-9-]+))?", capsys.readouterr().out, flags=re.MULTILINE)
    return [tuple(filter(None, forms)) for forms in lines]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_named_in_a_guide(name, capsys, monkeypatch):
    for variable, value in {"COLUMNS": "90", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(variable, value)
    found = options_of(name, capsys)
    assert any(forms[0] == "--json" for forms in found), "the help was read"
    missing = [
        forms[0]
        for forms in found
        if not any(re.search(rf"{form}(?![\w-])", page) for form in forms for page in GUIDES.values())
    ]
    assert not missing, f"{name}: name {', '.join(missing)} in a guide, with when to use it"
