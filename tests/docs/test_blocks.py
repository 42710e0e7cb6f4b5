"""The reader of pages notices what is wrong."""

import pytest

from tests.docs import blocks
from tests.docs.blocks import Reader, lines, options_of, understood, with_options


def test_options_take_the_place_of_a_commands_own():
    words = ["distill", "--timesteps", "50000", "--students", "a", "b", "--out", "run"]
    assert with_options(words, {"--timesteps": "5", "--students": "c"}) == [
        *("distill", "--out", "run", "--timesteps", "5", "--students", "c")
    ]
    assert with_options(["report", "run"], {"--json": ""}) == ["report", "run", "--json"]
    assert options_of(["finetune", "run", "--method", "es"], {"finetune": 1, "finetune es": 2, "train": 3}) == 2
    assert options_of(["finetune", "run"], {"finetune": 1, "finetune es": 2}) == 1


def test_lines_are_joined_and_comments_left_out():
    assert lines("a \\\n  b  # said\n\n# only said\nc\n") == ["a    b  # said", "c"]


PRINTED = "mean   0.998, at least 0.960 (95%)\nfalls  0 of 128\n\nof 4,996\n"


@pytest.mark.parametrize(
    ("shown", "right"),
    [
        ("mean  1.003, at least 0.951 (95%)\n...\nof 5,010", True),
        ("mean  0.998, at ...", True),
        ("mean  0.700, at least 0.960 (95%)", False),
        ("median  0.998, at least 0.960 (95%)", False),
        ("of 9,996", False),
        ("fall ...", True),
        ("mean 0.998, at most ...", False),
    ],
)
def test_an_output_is_held_against_what_was_printed(tmp_path, monkeypatch, shown, right):
    page = f"```python\nprint({PRINTED!r})\n```\n\n```text\n{shown}\n```\n"
    (tmp_path / "page.md").write_text(page)
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    if right:
        Reader(tmp_path).follow("page.md")
        return
    with pytest.raises(AssertionError):
        Reader(tmp_path).follow("page.md")


def test_a_command_that_fails_or_is_none_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="false"):
        Reader(tmp_path).do("bash", "false\n")
    with pytest.raises(AssertionError, match="nothing\\.zip"):
        Reader(tmp_path).do("bash", "policy-distill info nothing.zip\n")
    with pytest.raises(SystemExit):
        understood("policy-distill distill --techer x --out y")
    with pytest.raises(AssertionError, match="a block of 'perl'"):
        Reader(tmp_path).do("perl", "1")
