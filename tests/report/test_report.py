import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.kept import retention
from policy_distill.report import library
from policy_distill.report.charts import learning_curve
from policy_distill.report.read_run import find_runs, read_run
from policy_distill.report.suite_charts import cells, overall, pareto, suite_charts
from policy_distill.report.video import record_video
from policy_distill.report.write import write_report
from policy_distill.run.distill import distill
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher
from tests.run_folders import write_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; CI installs it")
STUDENT_BLUE = (0x2F, 0x7F, 0xD1)
HOSTILE = '</script><script>document.title="pwned"</script><img src=x onerror=alert(1)>&\'"\u2028{{a}}'


def open_in_browser(path, *options, size=(1200, 1600), fragment=""):
    """Return the document after its scripts, what the console said, and a picture `[H, W, 3]`."""
    profile, picture = path.parent / "profile", path.parent / "page.png"
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--enable-logging=stderr"]
    command += [f"--window-size={size[0]},{size[1]}", *options]
    address = f"{path.as_uri()}#{fragment}"
    shot = [*command, f"--screenshot={picture}", address]
    shot_done = subprocess.run(shot, capture_output=True, text=True, timeout=120, check=True)
    dom = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in (shot_done.stderr + dom.stderr).splitlines() if "CONSOLE" in line]
    return dom.stdout, console, np.array(Image.open(picture).convert("RGB"))


def share_of(picture, colour, tolerance=12):
    return (np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance).mean()


@pytest.fixture(scope="module")
def run_page(tmp_path_factory):
    # Episodes enough for a student that loses 2% to be certified.
    return write_report(write_run(tmp_path_factory.mktemp("runs") / "lander", n_episodes=200))


@pytest.fixture(scope="module")
def suite_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    for student, loss in (("mlp:4", 0.3), ("mlp:16", 0.04), ("mlp:32,32", 0.0), ("mlp:64,64", 0.01)):
        for seed in range(3):
            write_run(folder / f"{student.replace(':', '-')}-{seed}", student=student, seed=seed, loss=loss)
    return write_report(folder)


class Elements(html.parser.HTMLParser):
    """Every element with its attributes, and the text outside of scripts."""

    def __init__(self, text):
        super().__init__()
        self.found, self.words, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open not in ("script", "style"):
            self.words.append(data)


@browser
def test_a_run_is_drawn_in_a_browser_without_an_error(run_page):
    dom, console, picture = open_in_browser(run_page)
    assert console == []
    assert 'data-drawn="yes"' in dom
    assert dom.count('class="marks" width') == 8
    assert dom.count('aria-roledescription="circle"') == 200, "a dot an episode"
    assert share_of(picture, STUDENT_BLUE) > 0.0005, "the student's lines and dots are there to be seen"
    assert share_of(picture, (0xE8, 0x83, 0x3A)) > 0.002, "so is the teacher's bar"
    assert picture[2, 2].min() > 200, "light by itself"


@browser
def test_it_is_dark_where_that_is_preferred_and_fits_a_phone(run_page):
    _, console, picture = open_in_browser(run_page, "--blink-settings=preferredColorScheme=0", size=(400, 1800))
    assert console == []
    assert picture[2, 2].max() < 60
    assert share_of(picture, STUDENT_BLUE, tolerance=40) > 0.001
    # Nothing reaches into the margin on the right, as it would where the page were wider than the phone.
    assert np.ptp(picture[:, -4:].reshape(-1, 3), axis=0).max() < 12


@browser
def test_a_suite_is_drawn_with_its_front(suite_page):
    dom, console, picture = open_in_browser(suite_page)
    assert console == []
    assert 'data-drawn="yes"' in dom
    assert dom.count('aria-roledescription="circle"') == 4
    assert "Return kept against size" in dom
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


@browser
def test_metadata_is_text_and_never_markup_or_code(tmp_path):
    folder = write_run(tmp_path / "x", env_id=HOSTILE, loss_name=HOSTILE)
    (tmp_path / "more").mkdir()
    dom, console, _ = open_in_browser(write_report(folder))
    assert console == []
    assert "<title>pwned" not in dom
    assert 'data-drawn="yes"' in dom
    suite_dom, console, _ = open_in_browser(write_report(tmp_path))
    assert console == []
    assert "<title>pwned" not in suite_dom
    for text in (dom, suite_dom):
        elements = Elements(text)
        assert not [tag for tag, attributes in elements.found if tag == "img" or "onerror" in attributes]
        assert any("pwned" in word for word in elements.words)


def test_the_page_needs_no_network_and_forbids_one(run_page):
    text = run_page.read_text()
    elements = Elements(re.sub(r"(<script>).*?(</script>)", r"\1\2", text, flags=re.DOTALL))
    assert not [attrs for _, attrs in elements.found if "src" in attrs or "href" in attrs]
    policy = next(attrs["content"] for tag, attrs in elements.found if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert text.count("vegaEmbed=") == 1, "the plotting library is embedded once"
    assert run_page.stat().st_size < 2_000_000


def test_a_page_shows_the_proof_the_settings_and_the_command(run_page):
    words = " ".join(Elements(run_page.read_text()).words)
    for shown in (
        "Lander-v3",
        "non-inferior",
        "return kept",
        "worst 5%",
        "learning_rate",
        "teacher.zip",
        "Make it again",
    ):
        assert shown in words
    assert "policy-distill distill --teacher teacher.zip --env Lander-v3 --student mlp:8 --timesteps 30000" in words


def test_the_command_names_what_differs_from_the_defaults(tmp_path):
    config = {"acting": "mode", "observation_keys": ["a", "b"], "seed": 7}
    command = read_run(write_run(tmp_path / "r", **config)).command()
    assert "--acting mode" in command
    assert "--observation-keys a b" in command
    assert "--seed 7" in command
    assert "--n-envs" not in command


def test_long_runs_stay_small(tmp_path):
    page = write_report(write_run(tmp_path / "long", n_rows=20_000, n_episodes=3_000))
    assert page.stat().st_size < 2_000_000


def test_the_front_holds_what_nothing_smaller_beats():
    rows = [{"env": "a", "params": p, "kept": k} for p, k in ((1, 0.5), (2, 0.4), (3, 0.9), (4, 0.9), (5, 1.0))]
    rows.append({"env": "b", "params": 9, "kept": 0.1})
    assert [(row["env"], row["params"]) for row in pareto(rows)] == [("a", 1), ("a", 3), ("a", 5), ("b", 9)]


def test_a_suite_aggregates_seeds_and_leaves_unfinished_runs_out(suite_page, tmp_path):
    words = " ".join(Elements(suite_page.read_text()).words)
    assert "12 runs" in words
    assert words.count("mlp:4") >= 1
    for name in ("done", "begun"):
        write_run(tmp_path / name)
    (tmp_path / "begun" / "evaluation.json").unlink()
    words = " ".join(Elements(write_report(tmp_path).read_text()).words)
    assert "1 of the runs have not ended" in words


def test_seeds_that_differ_have_an_interval_and_seeds_that_agree_a_range(tmp_path):
    for seed, loss in enumerate((0.0, 0.1, 0.2)):
        write_run(tmp_path / f"apart-{seed}", student="mlp:4", seed=seed, loss=loss)
        write_run(tmp_path / f"alike-{seed}", student="mlp:8", seed=seed, loss=0.1)
    words = Elements(write_report(tmp_path).read_text()).words
    # Student's t of three seeds that are 0.1 apart: 4.303 * 0.1 / sqrt(3) = 0.248.
    assert "0.901 [0.653, 1.149]" in words
    assert "0.901, range 0.900 to 0.902" in words


def test_runs_whose_episodes_are_not_known_have_a_range_and_a_single_one_has_neither(tmp_path):
    for seed, loss in enumerate((0.0, 0.1, 0.2)):
        folder = write_run(tmp_path / f"run-{seed}", seed=seed, loss=loss)
        record = json.loads((folder / "evaluation.json").read_text())
        del record["episodes"]
        (folder / "evaluation.json").write_text(json.dumps(record))
    words = Elements(write_report(tmp_path).read_text()).words
    assert any(re.fullmatch(r"0.901, range 0.80\d to 1.00\d", word) for word in words)
    (found,) = cells(find_runs(tmp_path).runs[:1])
    assert (found.retention.kind, overall([found]).kind) == ("none", "none")


def test_a_student_of_a_useless_teacher_is_counted_and_ranks_nowhere(tmp_path):
    useless = write_run(tmp_path / "useless", student="mlp:2", env_id="Useless-v0")
    record = json.loads((useless / "evaluation.json").read_text())
    record["episodes"]["teacher"] = record["episodes"]["random"]
    (useless / "evaluation.json").write_text(json.dumps(record))
    write_run(tmp_path / "good")
    found = cells(find_runs(tmp_path).runs)
    total = overall(found)
    assert [cell.retention.kind for cell in found] == ["none", "undefined"]
    assert (total.n_groups, total.n_undefined) == (1, 1)
    front, _ = suite_charts(found)
    assert [row["env"] for row in front.spec["data"]["values"]] == ["Lander-v3"]
    assert "undefined" in Elements(write_report(tmp_path).read_text()).words


PROOF = {
    "retention": {
        "mean": 0.97,
        "mean_low": 0.941,
        "mean_ci95": [0.93, 1.0],
        "iqm": 1.003,
        "ci95": [1.0, 1.01],
        "verdict": {
            "outcome": "undecided",
            "margin": 0.05,
            "margin_return": 20.0,
            "alpha": 0.05,
            "floor": 1.2,
            "n_episodes": 60,
        },
    },
    "falls": {
        "teacher": {"n": 1, "n_episodes": 60, "rate": 1 / 60, "rate_high": 0.0766},
        "student": {"n": 3, "n_episodes": 60, "rate": 0.05, "rate_high": 0.1235},
    },
    "selection": {"return": 240.0, "retention": 0.95},
}


def proven(path, seed=0, **parts):
    """Write a run with a proof of today's form, and change parts of it."""
    folder = write_run(path, seed=seed)
    record = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps({**record, **PROOF, **parts}))
    return folder


def test_a_page_shows_the_mean_its_bound_the_falls_and_the_verdict_before_the_iqm(tmp_path):
    words = Elements(write_report(proven(tmp_path / "run")).read_text()).words
    page = " ".join(words)
    assert "0.970 return kept, mean at least 0.941 (95%); 60 paired episodes" in page
    assert "3 of 60 falls lost more than half of the gain; fewer than 12.3% do (95%)" in page
    assert "not clear at a margin of 5% of its gain, 20.00 of the return" in page
    assert "Assumed: no episode loses more than 1.20 gains" in page
    assert "The teacher: 1 of 60 episodes lost more than half of the gain" in page
    assert words.index("return kept, mean") < words.index("return kept, IQM")


def test_episodes_that_are_no_pairs_are_not_called_so(tmp_path):
    page = " ".join(Elements(write_report(proven(tmp_path / "run", paired=False)).read_text()).words)
    assert "(95%); 60 episodes" in page
    assert "Not paired: these environments begin their own episodes" in page
    assert "paired episodes" not in page


def test_a_folder_of_an_earlier_version_shows_what_it_knows(tmp_path):
    folder = write_run(tmp_path / "run")
    record = json.loads((folder / "evaluation.json").read_text())
    verdict = {"outcome": "non-inferior", "margin": 0.05, "alpha": 0.05, "p_value": 0.0, "n_episodes": 60, "n_looks": 1}
    record["retention"] = {
        "iqm": 0.98,
        "ci95": [0.97, 0.99],
        "mean": 0.979,
        "mean_ci95": [0.96, 1.0],
        "verdict": verdict,
    }
    for name in ("falls", "selection", "scale"):
        record.pop(name, None)
    (folder / "evaluation.json").write_text(json.dumps(record))
    page = " ".join(Elements(write_report(folder).read_text()).words)
    assert "0.979 return kept, mean no bound; 60 paired episodes" in page
    assert "non-inferior: as good as the teacher up to 5% of its gain (one-sided, 5%), 60 episodes" in page
    assert "falls" not in page
    assert "mlp:8" in " ".join(Elements(write_report(tmp_path).read_text()).words)


def test_a_suite_lists_verdicts_and_falls_of_every_run(tmp_path):
    falls = {"student": {"n": 0, "n_episodes": 60, "rate": 0.0, "rate_high": 0.0487}}
    proven(tmp_path / "one")
    proven(tmp_path / "other", seed=1, falls=falls)
    words = Elements(write_report(tmp_path).read_text()).words
    assert "3 of 120; each seed under 12.3%" in words
    assert "0 of 2" in words, "neither is non-inferior"
    assert words.count("0.970, at least 0.941 (95%)") == 2
    assert "0 of 60 episodes lost more than half of the gain; fewer than 4.9% do (95%)" in words


def test_the_front_is_of_the_episodes_that_chose_and_not_of_the_proof():
    rows = [
        {"env": "a", "params": 1, "kept": 0.99, "chosen": 0.7},
        {"env": "a", "params": 2, "kept": 0.97, "chosen": 0.98},
        {"env": "a", "params": 3, "kept": 1.02, "chosen": 0.97},
        # One without such a figure: all of its environment are compared by their proofs.
        {"env": "b", "params": 1, "kept": 0.9, "chosen": None},
        {"env": "b", "params": 2, "kept": 0.8, "chosen": 0.99},
    ]
    assert [(row["env"], row["params"]) for row in pareto(rows)] == [("a", 1), ("a", 2), ("b", 1)]


def test_a_run_that_has_not_ended_has_a_page_too(tmp_path):
    folder = write_run(tmp_path / "begun")
    (folder / "evaluation.json").unlink()
    assert "has not ended" in write_report(folder).read_text()


def test_the_learning_curve_shows_how_the_student_was_judged_on_the_way(tmp_path):
    folder = write_run(tmp_path / "run")
    rows = [{"time/env_steps": 6000 * i, "eval/selection_return": 40.0 * i} for i in range(1, 6)]
    rows.append({"time/env_steps": 30_000, "eval/student_return": 123.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chart = learning_curve(read_run(folder))
    judged = [row["value"] for row in chart.spec["data"]["values"] if row["who"] == "judged"]
    assert judged == [40.0, 80.0, 120.0, 160.0, 200.0]


def test_a_run_with_an_episode_beyond_the_floor_has_its_page(tmp_path):
    folder = write_run(tmp_path / "run")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    student, teacher, random = (np.array(evaluation["episodes"][name]) for name in ("student", "teacher", "random"))
    student[7] -= 3000.0
    kept = retention(student, teacher, random)
    evaluation["retention"] = kept.to_json()
    low, high = evaluation["retention"]["mean_ci95"]
    assert low is None and high > 0.9, "a loss beyond the floor says nothing of how good the student may be"
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    page = write_report(folder).read_text()
    assert "episode 7 (seed 7) lost" in page


def test_undefined_retention_and_missing_values_are_said(tmp_path):
    folder = write_run(tmp_path / "flat")
    record = json.loads((folder / "evaluation.json").read_text())
    record["retention"] |= {"iqm": None, "ci95": [None, None], "mean": None, "mean_ci95": [None, None]}
    record["kl"] = None
    (folder / "evaluation.json").write_text(json.dumps(record))
    assert "undefined" in write_report(folder).read_text()


def test_a_run_without_a_proof_says_nothing_of_retention(tmp_path):
    settings = {"timesteps": 256, "n_steps": 16, "eval_episodes": 0, "out": tmp_path / "run"}
    distill(corridor_teacher(), Corridor, "mlp:2", **settings)
    words = " ".join(Elements((tmp_path / "run" / "report.html").read_text()).words)
    assert "fewer parameters" in words
    assert "return kept" not in words


def test_lines_that_are_no_metrics_are_left_out_of_a_report_and_named_elsewhere(tmp_path):
    folder = write_run(tmp_path / "r")
    lines = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text('[1, 2]\n"x"\n' + lines + '{"time/env_steps": 4')
    assert len(read_run(folder).metrics) == 30
    with pytest.raises(RequestError, match="line 1 of"):
        read_metrics(folder / "metrics.jsonl")


def test_the_command_writes_a_page_and_refuses_an_empty_folder(tmp_path, capfd):
    folder = write_run(tmp_path / "r")
    assert main(["report", str(folder), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["report"] == str(folder / "report.html")
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "none"):
        assert main(["report", str(tmp_path / wrong)]) == 2
    assert "expected a run folder" in capfd.readouterr().err


def test_every_run_writes_its_page(tmp_path):
    settings = {"timesteps": 256, "n_steps": 16, "eval_episodes": 4, "out": tmp_path / "run"}
    distill(corridor_teacher(), Corridor, "mlp:2", **settings)
    assert "Corridor" in (tmp_path / "run" / "report.html").read_text()


def test_a_page_that_cannot_be_written_does_not_cost_the_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("policy_distill.report.write.render", lambda page: 1 / 0)
    distill(corridor_teacher(), Corridor, "mlp:2", timesteps=256, n_steps=16, eval_episodes=2, out=tmp_path / "run")
    assert (tmp_path / "run" / "student.safetensors").exists()
    assert "report.html could not be written" in caplog.text


def test_the_plotting_library_is_cached_and_a_broken_cache_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.plotting_script.cache_clear()
    script = library.plotting_script()
    (cached,) = (tmp_path / "policy-distill").iterdir()
    cached.write_text(cached.read_text()[:-10])
    library.plotting_script.cache_clear()
    assert library.plotting_script() == script
    assert cached.read_text().endswith(script[-10:])


# What reads the video back leaves its pipes to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_teacher_and_student_are_shown_side_by_side(tmp_path):
    import imageio.v2 as imageio

    path = record_video([cartpole_teacher(), cartpole_teacher()], "CartPole-v1", tmp_path / "video.mp4")
    frames = imageio.mimread(path, memtest=False)
    height, width = frames[0].shape[:2]
    assert (height, width) == (240, 720)
    assert 100 < len(frames) <= 400
    left, right = frames[50][:, :360].astype(int), frames[50][:, 360:].astype(int)
    assert np.abs(left - right).mean() < 3, "the same policy does the same in both halves"
    assert path.stat().st_size < 2_500_000
    run = write_run(tmp_path / "run")
    shutil.copy(path, run / "video.mp4")
    page = write_report(run)
    assert page.read_text().count("data:video/mp4;base64,") == 1
    assert page.stat().st_size < 5_000_000
    (run / "video.mp4").write_bytes(bytes(3_000_000))
    assert "data:video" not in write_report(run).read_text()


def test_an_environment_that_does_not_draw_costs_no_more_than_the_video(tmp_path, caplog):
    with pytest.raises(RequestError):
        record_video([corridor_teacher(), corridor_teacher()], Corridor, tmp_path / "v.mp4")
    settings = {"timesteps": 256, "n_steps": 16, "eval_episodes": 2, "out": tmp_path / "run", "video": True}
    distill(corridor_teacher(), Corridor, "mlp:2", **settings)
    assert "no video" in caplog.text
    assert not (tmp_path / "run" / "video.mp4").exists()


def test_a_line_that_is_no_metric_costs_neither_a_run_nor_its_suite_the_page(tmp_path):
    for seed in range(2):
        write_run(tmp_path / f"run-{seed}", seed=seed)
    metrics = tmp_path / "run-0" / "metrics.jsonl"
    metrics.write_text("garbage\n" + metrics.read_text())
    page = write_report(tmp_path).read_text()
    assert "run-0" in page and "run-1" in page
    assert "Learning curve" in write_report(tmp_path / "run-0").read_text()


def test_a_perturbation_of_a_single_episode_has_no_interval_and_a_row(tmp_path):
    folder = write_run(tmp_path / "run")
    one = {
        "retention": {"iqm": 0.5, "ci95": [None, None]},
        **{w: {"iqm": 1.0, "worst5": 1.0} for w in ("teacher", "student")},
    }
    (folder / "perturbed.json").write_text(json.dumps({"sticky:0.25": one}))
    assert "sticky:0.25" in write_report(folder).read_text()


def test_the_return_of_each_phase_is_drawn(tmp_path):
    folder = write_run(tmp_path / "run")
    assert "Return by phase" not in write_report(folder).read_text()
    record = json.loads((folder / "evaluation.json").read_text())
    for name in ("teacher", "student", "random"):
        record[name]["phases"] = [1.0] * 10
    (folder / "evaluation.json").write_text(json.dumps(record))
    assert "Return by phase" in write_report(folder).read_text()


BROKEN = {
    "evaluation.json": {
        "[1, 2]": "evaluation.json: expected an object, found a list",
        '{"student": 3}': "evaluation.json, student: expected an object, found 3",
        '{"retention": {"iqm": "much"}}': "evaluation.json, retention, iqm: expected a number, found a text",
        '{"retention": {"iqm": NaN}}': "evaluation.json, retention, iqm: expected a number, found NaN",
        '{"teacher": {"ci95": [1]}}': "evaluation.json, teacher, ci95: expected two numbers, found a list",
        '{"student"': "evaluation.json: expected JSON",
    },
    "config.json": {
        '{"env_id": "X-v0", "teacher": []}': "config.json, teacher: expected an object, found a list",
        '{"env_id": "X-v0", "config": "fast"}': "config.json, config: expected an object, found a text",
        "[]": "config.json: expected an object",
        "{}": "config.json: expected the settings of a run",
    },
    "metrics.jsonl": {"[1]\n[2]\n": "metrics.jsonl: expected lines"},
    "perturbed.json": {'{"sticky:0.25": 1}': "perturbed.json, sticky:0.25: expected an object, found 1"},
}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [(name, text, reason) for name, cases in BROKEN.items() for text, reason in cases.items()],
)
def test_a_run_of_another_form_is_listed_with_its_reason_and_the_others_are_reported(
    name, text, reason, tmp_path, capfd, caplog
):
    write_run(tmp_path / "good")
    broken = write_run(tmp_path / "broken", student="mlp:99")
    (broken / name).write_text(text)
    assert main(["report", str(broken)]) == 2
    assert reason in capfd.readouterr().err
    page = Elements(write_report(tmp_path).read_text())
    words = " ".join(page.words)
    assert reason in words and "1 runs" in words and "Unreadable runs" in words
    assert "mlp:8" in words and "mlp:99" not in words
    assert str(broken) in caplog.text
    shutil.rmtree(tmp_path / "good")
    with pytest.raises(RequestError, match="only runs that cannot be read"):
        write_report(tmp_path)


def test_a_file_of_the_same_name_that_is_another_programs_is_no_run(tmp_path):
    write_run(tmp_path / "good")
    (tmp_path / "other").mkdir()
    for text in ('{"a": 1}', "[]", "{"):
        (tmp_path / "other" / "config.json").write_text(text)
        assert "Unreadable" not in write_report(tmp_path).read_text()


def test_what_is_missing_or_null_costs_a_run_nothing_but_its_place(tmp_path):
    folder = write_run(tmp_path / "run")
    for record in ({"student": None, "retention": {"iqm": 0.5}}, {"student": {"mean": 1.0}, "teacher": {"ci95": None}}):
        (folder / "evaluation.json").write_text(json.dumps(record))
        (folder / "perturbed.json").write_text(json.dumps({"none": {}, "delay:1": {"retention": None}}))
        assert "delay:1" in write_report(folder).read_text()
        assert "1 runs" in " ".join(Elements(write_report(tmp_path).read_text()).words)


def test_a_name_that_is_no_unicode_is_written_all_the_same(tmp_path):
    write_report(write_run(tmp_path / "run", env_id="half \ud800"))
    assert "half ?" in write_report(tmp_path).read_text()


@browser
@pytest.mark.parametrize("n", [4, 3], ids=["by two arguments", "by context"])
def test_contexts_are_drawn_in_a_browser_without_an_error(tmp_path, n):
    folder = tmp_path / "run"
    write_run(folder)
    contexts = [
        {
            "name": f"g={g}, h={h}",
            "values": {"g": g, "h": h},
            "seen": g == h,
            "teacher_share": 1.0,
            "student_share": 0.5,
        }
        for g in (1, 2)
        for h in (1, 2)
    ][:n]
    (folder / "contexts.json").write_text(json.dumps({"contexts": contexts}))
    dom, console, _ = open_in_browser(write_report(folder))
    assert console == []
    assert dom.count('class="marks" width') == 9
    assert "held out" in dom
