"""`compress --finetune`: what misses the bar at the border goes on by reward, and competes as any other."""

import json
import os
import shlex
import signal
from functools import partial

import numpy as np
import pytest
import torch

from policy_distill.cli import _parse
from policy_distill.commands.compress import Compress, summary
from policy_distill.compression import tuned
from policy_distill.compression.border import N_TUNED, Border, Finalist
from policy_distill.compression.candidates import Candidate
from policy_distill.compression.compress import compress
from policy_distill.compression.judge import Kept
from policy_distill.compression.limits import Limits
from policy_distill.compression.tuned import method_for
from policy_distill.errors import RequestError, RunFault
from policy_distill.interfaces.policies import Labels
from policy_distill.losses.table import LOSSES
from policy_distill.report.front import front_rows
from policy_distill.report.read_run import read_run
from policy_distill.run.finetuning.ppo_session import PPOSession
from policy_distill.run.finetuning.selection import ROUNDS
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.student.runtime import load_student
from policy_distill.system.interrupts import Interrupted
from tests.compression.test_resume import Falls, found_in
from tests.doubles import FormulaTeacher
from tests.run.finetuning.doubles import Aim
from tests.run.test_resume import Stop
from tests.students import KINDS, MEMORY_KINDS, make_student

QUICK = {
    **{"timesteps": 512, "n_envs": 4, "n_steps": 16, "n_epochs": 1, "batch_size": 64, "eval_episodes": 60},
    **{"retention": 0.6, "select_episodes": 4, "learning_rate": 1e-6, "students": ["linear", "mlp:2"]},
}
"""Of students that hardly learn from their teacher, and keep a fifth of what it gains."""


class Aims(FormulaTeacher):
    """Acts at 0.5 whatever it sees, which is what `Aim` pays most for."""

    def __init__(self):
        env = Aim()
        super().__init__(env.observation_space, env.action_space, [[0.0], [0.0]])

    def label(self, obs, episode_starts, state=None, action_masks=None):
        return Labels(super().label(obs, episode_starts).params + torch.tensor([0.5, 0.0]))


class AimsSurely:
    """The same, as an object with actions alone."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full((*np.shape(observation)[:-1], 1), 0.5, np.float32), state


@pytest.fixture(autouse=True)
def large_steps(monkeypatch):
    large = partial(FinetuneConfig, learning_rate=0.02, es_rate=0.5, es_sigma=0.5)
    monkeypatch.setattr(tuned, "FinetuneConfig", large)


def run(out=None, teacher=Aims, **settings):
    return compress(teacher(), Aim, out=out, **{**QUICK, "finetune": True, **settings})


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same compression with and without: what each found, said, and wrote."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuned, "FinetuneConfig", partial(FinetuneConfig, learning_rate=0.02))
        for finetune in (False, True):
            out, said = tmp_path_factory.mktemp("runs") / "run", []
            made[finetune] = (run(out, finetune=finetune, timesteps=1024, say=said.append), said, out)
    return made


def test_what_misses_the_bar_goes_on_by_reward_and_is_proven(both):
    (plain, said_plain, _), (found, said, _) = both[False], both[True]
    assert not plain.proven and not any("fine-tuned" in line for line in said_plain)
    assert found.proven
    assert found.record.best.finetuned == "ppo"
    assert found.result.retention.mean > plain.result.retention.mean + 0.3
    place = next(i for i, line in enumerate(said) if line.startswith("mlp:2: fine-tuned by ppo in"))
    assert said[place + 1].startswith("mlp:2: 9 parameters keep"), "judged as any other"


def test_its_steps_have_an_entry_of_their_own_and_without_it_nothing_changes(both):
    (plain, _, out_plain), (found, _, out) = both[False], both[True]
    steps = found.record.env_steps_of
    assert set(plain.record.env_steps_of) == {"collect", "choose"}
    assert set(steps) == {"collect", "choose", "finetune"}
    assert steps["finetune"] > 1024, "of PPO, and of choosing the best on the way"
    assert found.record.env_steps == sum(steps.values())
    assert steps["collect"] == plain.record.env_steps_of["collect"]
    record = json.loads((out_plain / "compression.json").read_text())
    assert not any("finetuned" in point for point in record["front"])
    assert "finetune" not in json.loads((out_plain / "config.json").read_text())["compress"]
    assert f"{steps['finetune']:,} for fine-tuning" in summary(found.record, found.result.record, out)


def test_files_and_tables_say_who_was_fine_tuned(both):
    found, _, out = both[True]
    record = json.loads((out / "compression.json").read_text())
    (best,) = (one for one in record["front"] if one["spec"] == found.record.winner)
    assert best["finetuned"] == "ppo"
    for path in (out / "student.safetensors", out / "students" / best["spec"] / "student.safetensors"):
        provenance = load_student(path).provenance
        assert provenance["finetuning"] == {"method": "ppo", "env_steps": 1024}
        selection = [span for span in provenance["spent_seeds"] if span[0] >= 2**30]
        assert len(selection) == 2 and selection[1][1] - selection[1][0] == ROUNDS * QUICK["select_episodes"]
    assert any(row[0] == f"{best['spec']} (fine-tuned by ppo)" for row in front_rows(found.record))
    assert "(fine-tuned by ppo)" in (out / "report.html").read_text()


def test_the_command_that_makes_it_again_asks_for_it(tmp_path):
    run(tmp_path / "run", students=["linear"], timesteps=256)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    known = {"env": None, "env_id": "CartPole-v1", "request": {"teacher": "teacher.zip"}}
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, **known}))
    made = _parse(shlex.split(read_run(tmp_path / "run").command())[1:])
    assert isinstance(made, Compress) and made.finetune


def test_a_student_of_actions_alone_evolves(tmp_path):
    found = run(tmp_path / "run", AimsSurely, students=["mlp:2"], timesteps=1024)
    assert found.record.best.finetuned == "es"
    assert found.proven
    assert found.student.provenance["finetuning"]["method"] == "es"


@pytest.mark.parametrize("teacher", [Aims, AimsSurely], ids=["ppo", "es"])
def test_a_compression_that_died_while_it_was_fine_tuned_equals_one_that_did_not(tmp_path, teacher, monkeypatch):
    run(tmp_path / "whole", teacher)
    with pytest.raises(Stop):
        run(tmp_path / "died", teacher, say=Falls("fine-tuned by"))
    with monkeypatch.context() as patch:
        config = tuned.BorderTuning._config

        def signalled(*arguments):
            os.kill(os.getpid(), signal.SIGTERM)
            return config(*arguments)

        patch.setattr(tuned.BorderTuning, "_config", signalled)
        with pytest.raises(Interrupted, match="checkpoint is written"):
            run(tmp_path / "died", teacher, resume=True)
    run(tmp_path / "died", teacher, resume=True)
    assert found_in(tmp_path / "whole") == found_in(tmp_path / "died")
    record = json.loads((tmp_path / "whole" / "compression.json").read_text())
    assert any("finetuned" in point for point in record["front"])


def test_a_checkpoint_of_a_compression_without_it_is_refused_by_name(tmp_path):
    run(tmp_path / "run", finetune=False, students=["linear"])
    with pytest.raises(RequestError, match=r"compress\.finetune=None, found True"):
        run(tmp_path / "run", students=["linear"], resume=True)


def test_a_budget_bounds_it_and_one_that_is_used_up_leaves_it_out():
    found = run(budget=12_000, students=["linear"])
    steps = found.record.env_steps_of
    assert 0 < steps["finetune"] <= 6_000
    said = []
    found = run(budget=700, students=["linear"], say=said.append)
    assert found.record.env_steps_of["finetune"] == 0
    assert not any("fine-tuned" in line for line in said)


def test_one_that_fails_costs_no_more_than_a_line(monkeypatch):
    said = []

    def fails(session):
        raise RunFault("the loss is not finite")

    monkeypatch.setattr(PPOSession, "collect", fails)
    found = run(students=["linear"], say=said.append)
    assert "linear: not fine-tuned: the loss is not finite" in said
    assert found.record.best.finetuned is None
    assert found.record.env_steps_of["finetune"] > 0, "of judging the student as it came"


def test_how_reward_improves_a_student_depends_on_what_it_is():
    assert method_for(make_student(("unnormalized", "discrete", "mlp:4", "tanh"))) == "ppo"
    sure = next(kind for kind in KINDS if "deterministic" in kind[1] and "tree" not in kind[2])
    assert method_for(make_student(sure)) == "es"
    assert method_for(make_student(MEMORY_KINDS[0])) == "es"
    assert method_for(make_student(next(kind for kind in KINDS if "tree" in kind[2]))) is None


def test_a_large_one_that_ppo_cannot_improve_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(tuned, "MOST_EVOLVED", 2)
    said = []
    found = run(teacher=AimsSurely, students=["linear"], say=said.append)
    assert any(line.startswith("linear: not fine-tuned: PPO needs") for line in said)
    assert found.record.env_steps_of["finetune"] == 0


def test_a_loss_that_reads_more_than_parameters_is_refused_in_one_line(monkeypatch):
    def paid(batch, outputs):
        return batch.columns["rewards"]

    paid.columns = ("rewards",)
    monkeypatch.setitem(LOSSES, "paid", lambda: paid)
    with pytest.raises(RequestError, match="for --finetune, found 'paid', which reads rewards; choose") as error:
        run(loss="paid")
    assert "\n" not in str(error.value)


def test_limits_say_nothing_of_it_where_it_is_off():
    assert "finetune" not in Limits(0.9).to_json()
    assert Limits(0.9, finetune=True).to_json()["finetune"] is True


def test_environments_that_fail_meanwhile_are_restarted_within_the_same_bound(monkeypatch):
    class Fails(Aim):
        n_steps, fails_at = 0, -1

        def step(self, action):
            type(self).n_steps += 1
            if type(self).n_steps == self.fails_at:
                raise OSError("the simulator is gone")
            return super().step(action)

    collect, begun = PPOSession.collect, []

    def fails_soon(session):
        if not begun:
            begun.append(True)
            Fails.fails_at = Fails.n_steps + 5
        return collect(session)

    monkeypatch.setattr(PPOSession, "collect", fails_soon)
    found = compress(Aims(), Fails, **{**QUICK, "students": ["linear"], "finetune": True, "env_restarts": 3})
    assert begun
    assert found.result.record.env_restarts == 1


@pytest.mark.parametrize("loss", ["nll_sampled", "mse"])
def test_other_losses_hold_students_to_their_teacher_too(loss):
    assert run(students=["linear"], loss=loss).record.env_steps_of["finetune"] > 512


def test_only_what_lies_below_the_smallest_that_passes_is_tried():
    tried, shares = [], {"a": 0.1, "b": 0.5, "c": 0.2, "d": 0.3, "e": 0.9, "f": 0.4}

    class Tuning:
        def tune(self, spec, policy):
            tried.append(spec)

    class Race:
        bar = 0.8
        judge = type("J", (), {"exhausted": False})

    border = Border(Race(), print, Tuning())
    for n, (spec, share) in enumerate(shares.items()):
        candidate = Candidate(spec, n, n, n, float(n))
        border.finalists[spec] = Finalist(candidate, None, "as trained", Kept(share, 0.0, 20, 0, 0.0), 0)
    border._tune()
    assert tried == ["d", "c", "b"]
    assert len(tried) == N_TUNED
