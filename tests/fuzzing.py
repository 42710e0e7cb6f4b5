"""Hostile inputs for every reader of files, and what counts as harm.

`python -m tests.fuzzing --seconds 60` tries random ones by hand (`--coverage` guided by atheris, where installed).
"""

import argparse
import base64
import collections
import io
import json
import logging
import math
import os
import pickle
import pickletools
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from gymnasium import spaces
from safetensors.numpy import load
from stable_baselines3 import PPO
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.config import DistillConfig, make_config
from policy_distill.errors import RequestError
from policy_distill.exporters.layers_file import load_layers, save_layers
from policy_distill.report.write import write_report
from policy_distill.run.critics.critic import ValueCritic
from policy_distill.run.distill import distill
from policy_distill.run.suite.grid import read_grid
from policy_distill.run.suite.grid_cells import CellTracking, cells_of
from policy_distill.run.suite.search_space import space_of
from policy_distill.run.tasks.listed import read_tasks
from policy_distill.student.bits.quantization import quantize_layer
from policy_distill.student.file import KEY, read_sealed, write_sealed
from policy_distill.student.many import ManyTasks
from policy_distill.student.runtime import Student, load_student
from policy_distill.teachers.algorithm_names import CLEANRL, PREFIX
from policy_distill.teachers.files.pickled_spaces import read_space
from policy_distill.teachers.files.safe_load import safe_unpickle
from policy_distill.teachers.files.vecnormalize import read_normalizer
from policy_distill.teachers.files.weights import read_weights
from policy_distill.teachers.files.zoo_config import env_kwargs_of, environment_of, normalized_by, packages_of
from policy_distill.teachers.files.zoo_wrappers import wrappers_of
from policy_distill.teachers.load import load_teacher
from policy_distill.tracking.jsonl import JsonlTracker, read_metrics
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher
from tests.run_folders import write_compression, write_run
from tests.training.test_policy import make_policy

TASKS = Path(__file__).parent / "golden" / "format-5-tasks.safetensors"
SEVERAL = {
    "env_id": "a + b",
    "student": {"n_params": 5, "n_bytes": 20},
    "together": {"geometric_mean": 0.9, "ci95": [0.8, 1.0], "worst": 0.8, "outcome": "undecided"},
    "singles": {"n_params": {"a": 4, "b": 6}, "given": False, "total": 10, "of_total": 0.5, "of_largest": 0.8},
}
"""What `evaluation.json` says of a student of several tasks, beside each of them."""

HARM = (
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "pickle.find_class",
    "socket.",
    "shutil.",
    "ctypes.",
    "_thread.start_new_thread",
)
"""Python's audit events that reading a file has no business with."""

NAMES = """
posix.system os.system builtins.eval builtins.exec builtins.getattr subprocess.Popen numpy.dtype numpy.ndarray
numpy.core.multiarray._reconstruct numpy._core.numeric._frombuffer numpy._core.multiarray.scalar
collections.OrderedDict collections.deque builtins.bytearray builtins.list builtins.str builtins.set builtins.tuple
builtins.dict builtins.slice gymnasium.spaces.box.Box gymnasium.spaces.dict.Dict gymnasium.spaces.discrete.Discrete
torch.FloatStorage torch._utils._rebuild_tensor_v2 stable_baselines3.common.save_util.os cloudpickle.subimport
""".split()
SNIPPETS = (
    b")R", b")\x81", b"}b", b"K\x01\x85R", b")}\x92", b"(I1\no", b"2", b"(K\x01K\x02t", b"\x94", b"h\x00", b"q\x00",
    b"]", b"}", b"\x85", b"\x8f", b"(K\x01\x90", b"B\x04\x00\x00\x00abcd", b"\x8c\x02f4", b"N", b"K\x02\x86",
)  # fmt: skip
ARGUMENTS = ("net_arch", "activation_fn", "ortho_init", "log_std_init", "x", "n_critics", "features_extractor_kwargs")
SCRIPT = "<script>alert(1)</script>"
VALUES = (
    SCRIPT,
    None, True, -1, 0, 1, 2**31, 2**63, 10**30, -(10**12), 1e308, math.nan, math.inf, "", "inf", "a" * 300, "../../x",
    "\x1b[31m\n", "\ud800", [], {}, [[[]]], {"type": "Box"}, [0] * 500, [2**40, 2**40], "object", "S1000000000",
)  # fmt: skip

_watched: list[str] = []
_watching: int | None = None
"""The thread that reads; what others do meanwhile, such as one that an earlier test left, is not the file's doing."""


def _hook(event: str, arguments: object) -> None:
    if _watching is not None and _watching == threading.get_ident() and event.startswith(HARM):
        _watched.append(event)


sys.addaudithook(_hook)


@contextmanager
def watched():
    """Collect what harmful events happen within."""
    global _watching
    _watched.clear()
    _watching = threading.get_ident()
    try:
        yield _watched
    finally:
        _watching = None


def attempt(read, data):
    """Return True where `data` is loaded, False where it is refused in one line; anything else is an error."""
    with watched() as events, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read(data)
            done = True
        except RequestError as error:
            message = str(error)
            assert message.isprintable() and 10 < len(message) < 1100, message
            done = False
    assert not events, list(events)
    return done


class Readers:
    """Every reader as a function of bytes, with files that are good."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seeds = self._make_seeds()
        self.readers = {
            "pickle": self.read_pickle,
            "vecnormalize": self.read_vecnormalize,
            "teacher": self.read_teacher,
            "policy": self.read_policy,
            "cleanrl": self.read_cleanrl,
            "weights": lambda data: read_weights(data, "the weights"),
            "student": self.read_student,
            "checkpoint": self.read_checkpoint,
            "layers": lambda data: load_layers(self._write("layers.safetensors", data)),
            "metrics": self.read_metrics,
            "zoo": self.read_zoo,
            "config": self.read_config,
            "report": self.read_report,
            "grid": self.read_grid,
            "tasks": lambda data: read_tasks(self._write("tasks.yaml", data)),
        }

    def read_pickle(self, data):
        found = safe_unpickle(data, "the file")
        read_space(found, "the file")

    def read_vecnormalize(self, data):
        read_normalizer(self._write("vecnormalize.pkl", data), Corridor().observation_space)

    def read_teacher(self, data):
        teacher = load_teacher(self._write("agent.zip", data))
        if math.prod(teacher.observation_space.shape or (1,)) < 1000:
            teacher.n_params  # noqa: B018

    def read_policy(self, data):
        load_teacher(self._write("policy.pth", data))

    def read_cleanrl(self, data):
        # Any of the scripts may have written it: what all refuse is refused.
        path, refused = self._write("run.cleanrl_model", data), None
        for kind in CLEANRL:
            try:
                load_teacher(path, algo=PREFIX + kind)
                return
            except RequestError as error:
                refused = error
        raise refused

    def read_student(self, data):
        student = load_student(self._write("student.safetensors", data))
        student = student.task(student.task_names[-1]) if isinstance(student, ManyTasks) else student
        student.seed(0)
        observation = student.observation_space.sample()
        with np.errstate(all="ignore"):
            student.act(observation)
            student.predict(observation)
            if student.critic is not None:
                obs, _ = student.plan.featurizer.batched(student.view.narrow(observation))
                assert student.critic.values(student.plan.featurizer(obs)).shape == (1,)
                assert student.critic.layers and student.critic.summary()
        assert student.action_space.shape is not None

    def read_checkpoint(self, data):
        read_sealed(self._write("latest.safetensors", data))

    def read_metrics(self, data):
        path = self._write("metrics.jsonl", data)
        read_metrics(path)
        JsonlTracker(path, resume_step=100).close()

    def read_zoo(self, data):
        for read in (wrappers_of, normalized_by, env_kwargs_of):
            read(self._write("config.yml", data).with_name("zoo.zip"))
        for read in (environment_of, env_kwargs_of, packages_of):
            read(self._write("args.yml", data).with_name("zoo.zip"))

    def read_config(self, data):
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(values, dict):
            make_config(None, values)

    def read_grid(self, data):
        grid = read_grid(self._write("grid.yaml", data))
        cells_of(grid, self.folder / "out", CellTracking())
        space_of(grid.search, students=grid.students)

    def read_report(self, data):
        try:
            files = json.loads(data)
        except (ValueError, RecursionError):
            return
        folder = self.folder / "suite" / "run"
        if not folder.exists():
            folder.mkdir(parents=True)
            write_run(self.folder / "suite" / "good")
        for name in ("config.json", "evaluation.json", "compression.json", "metrics.jsonl"):
            if isinstance(files, dict) and name not in files:
                (folder / name).unlink(missing_ok=True)
                continue
            value = files.get(name) if isinstance(files, dict) else files
            lines = value if name == "metrics.jsonl" and isinstance(value, list) else [value]
            (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        # A run that cannot be read is listed in the report of its suite, and must not stop it.
        assert SCRIPT not in write_report(self.folder / "suite").read_text()
        assert SCRIPT not in write_report(folder).read_text()

    def _write(self, name, data):
        # A folder each: a teacher would take the statistics that lie beside it.
        path = self.folder / name.partition(".")[0] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def _run_folders(self):
        folder = self.folder / "seed-run"
        distill(corridor_teacher(), Corridor, "linear", timesteps=64, n_steps=8, eval_episodes=3, out=folder)
        files = {name: json.loads((folder / name).read_text()) for name in ("config.json", "evaluation.json")}
        metrics = {"metrics.jsonl": read_metrics(folder / "metrics.jsonl")}
        front = json.loads((write_compression(self.folder / "seed-front") / "compression.json").read_text())
        proof = files["evaluation.json"]
        several = {"evaluation.json": {**SEVERAL, "tasks": {"a": proof, "b": proof}}}
        return [
            json.dumps({**files, **more, **metrics}).encode() for more in ({}, {"compression.json": front}, several)
        ]

    def _make_seeds(self):
        agent, student = self.folder / "seed.zip", self.folder / "seed.safetensors"
        model = PPO("MlpPolicy", Corridor(), n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": [4]})
        model.save(agent)
        normalised = VecNormalize(DummyVecEnv([Corridor]))
        normalised.save(str(self.folder / "seed.pkl"))
        made = Student.of(make_policy(cartpole_teacher()).to_record({"env_id": "CartPole-v1"}))
        made.save(student)
        made.critic = ValueCritic(make_policy(cartpole_teacher()).spec, DistillConfig(), "seed").record(0.99)
        with_critic = made.save(self.folder / "seed-critic.safetensors")
        write_sealed(self.folder / "seed.ckpt", {"a": np.zeros(3, np.float32)}, {"checkpoint": {"iteration": 3}})
        layers = self.folder / "seed.layers"
        one = quantize_layer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), -1.0, 2.0)
        save_layers(layers, {0: one}, "int8")
        policy = io.BytesIO()
        model.policy.save(policy)
        old = io.BytesIO()
        torch.save(model.policy.state_dict(), old, _use_new_zipfile_serialization=False)
        with zipfile.ZipFile(agent) as archive:
            weights = archive.read("policy.pth")
        box = spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Discrete(3), c=spaces.MultiDiscrete([2, 3]))
        plain = {"x": [1, 2.5, "y", (None, True)], "z": {1, 2}, "d": collections.deque([1], 3), "m": RunningMeanStd()}
        zoo = "!!python/object/apply:collections.OrderedDict\n- - - env_wrapper\n    - a.TimeFeatureWrapper\n"
        zoo += "  - - frame_stack\n    - 2\n  - - policy\n    - !!python/tuple [1, 2]\n"
        lines = b"".join(json.dumps({"time/env_steps": n, "train/loss": 0.5}).encode() + b"\n" for n in range(5))
        return {
            "pickle": [pickle.dumps(value, protocol) for value in (box, plain) for protocol in (2, 4, 5)],
            "vecnormalize": [(self.folder / "seed.pkl").read_bytes()],
            "teacher": [agent.read_bytes()],
            "policy": [policy.getvalue()],
            "cleanrl": cleanrl_files(),
            "weights": [weights, old.getvalue()],
            "student": [student.read_bytes(), with_critic.read_bytes(), TASKS.read_bytes()],
            "checkpoint": [(self.folder / "seed.ckpt").read_bytes()],
            "layers": [layers.read_bytes()],
            "metrics": [lines],
            "zoo": [
                zoo.encode(),
                b"normalize: 'dict(norm_obs=True)'\nenv_kwargs: {gravity: -5.0}\nvec_env_wrapper: VecMonitor\n",
                b"env_kwargs: ['gravity:-5.0', 'names:[1, {2: None}]']\ngym_packages: [a]\n",
                b"env_wrapper: [{u.FrameStack: {n_stack: 2}}]\nenv: X-v0\na: &a [1]\nb: [*a, *a]\n",
            ],
            "report": self._run_folders(),
            "grid": [
                f"teachers: {self.folder}\nstudents: [mlp:8,8, linear]\nseeds: [0]\ndistill: {{n_envs: 5}}\n".encode(),
                f"teachers: [{{path: {self.folder}, name: a, env: A-v0, env_kwargs: {{a: [1]}}, wrapper: W:n=1}}]\n"
                "envs: [{id: B-v0, name: b}]\nfinetune: {hold: false, gamma: 0.9}\n"
                "compress: {retention: 0.9, students: [mlp:2]}\n"
                "search: {learning_rate: {low: 1e-3, high: 0.1, log: true}, n_epochs: [1, 2]}\n".encode(),
            ],
            "tasks": [
                f"tasks: [{{path: {self.folder}, env: A-v0}}, {{teacher: {self.folder}, single: s}}]\n".encode()
            ],
            "config": [b'{"timesteps": 5, "learning_rate": 0.1, "loss": "mse", "observation_keys": []}'],
        }  # fmt: skip


def cleanrl_files():
    """Small files as CleanRL's scripts write them: of PPO and DQN one state dict, of TD3 several in a tuple."""

    def layers(*sizes):
        return {
            f"{name}.{part}": torch.ones(shape)
            for name, *n in sizes
            for part, shape in (("weight", n), ("bias", n[:1]))
        }

    critic = layers(("critic.0", 3, 2), ("critic.2", 1, 3))
    scale = {"action_scale": torch.ones(1, 2), "action_bias": torch.zeros(1, 2)}
    body = layers(("fc1", 3, 2), ("fc2", 3, 3))
    states = [
        layers(("actor.0", 3, 2), ("actor.2", 4, 3)) | critic,
        layers(("network.0", 3, 2), ("network.2", 4, 3)),
        (body | layers(("fc_mu", 2, 3)) | scale, body),
        body | layers(("fc_mean", 2, 3), ("fc_logstd", 2, 3)) | scale,
    ]
    files = [io.BytesIO() for _ in states]
    for state, file in zip(states, files, strict=True):
        torch.save(state, file)
    return [file.getvalue() for file in files]


def mutate(rng: random.Random, name: str, data: bytes) -> bytes:
    """Return a hostile form of a good file: damaged as bytes, or well-formed and lying."""
    if rng.random() < 0.5:
        if name == "teacher":
            return mutate_agent(rng, data)
        if name == "student":
            return mutate_student(rng, data)
        if name in ("pickle", "vecnormalize") and rng.random() < 0.5:
            return program(rng, data)
        if name in ("weights", "policy", "cleanrl") and data[:2] == b"PK":
            return mutate_member(rng, data, "archive/data.pkl" if rng.random() < 0.7 else None)
        if name in ("config", "report"):
            return json.dumps(mutate_json(rng, json.loads(data))).encode()
    for _ in range(rng.choice([1, 1, 2, 5])):
        data = damage(rng, data)
    return data


def damage(rng: random.Random, data: bytes) -> bytes:
    """Truncate, flip, swap, repeat, or write a number that is an unlikely size."""
    first, second = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    second = min(second, first + rng.choice([1, 4, 16, 256]))
    kind = rng.randrange(7)
    if kind == 0:
        return data[:first]
    if kind == 1:
        return data[:first] + data[second:]
    if kind == 2:
        return data[:first] + data[first:second] * rng.choice([2, 3, 50]) + data[second:]
    if kind == 3:
        return data[second:] + data[:first]
    if kind == 4:
        size = rng.choice([0, 1, 127, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1])
        width = rng.choice([1, 2, 4, 8])
        return data[:first] + (size % 256**width).to_bytes(width, "little") + data[first + width :]
    if kind == 5:
        return data[:first] + bytes(rng.randrange(256) for _ in range(rng.choice([1, 4]))) + data[first:]
    flipped = bytearray(data or b"\0")
    flipped[min(first, len(flipped) - 1)] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def program(rng: random.Random, data: bytes = b"") -> bytes:
    """Return a pickle of random instructions, some of them in place of a good pickle's end."""
    start = data[: rng.randrange(len(data) + 1)] if data and rng.random() < 0.5 else b"\x80\x04"
    return start + b"".join(instruction(rng) for _ in range(rng.randrange(1, 40))) + b"."


def instruction(rng: random.Random) -> bytes:
    """Return one instruction, as valid by itself as its form asks for."""
    if rng.random() < 0.2:
        module, _, name = rng.choice(NAMES).rpartition(".")
        stacked = f"\x8c{chr(len(module))}{module}\x8c{chr(len(name))}{name}\x93"
        return rng.choice([f"c{module}\n{name}\n", f"(i{module}\n{name}\n", stacked]).encode("latin1")
    if rng.random() < 0.4:
        return rng.choice(SNIPPETS)
    opcode = rng.choice(pickletools.opcodes)
    if opcode.name == "STOP" or opcode.arg is None:
        return opcode.code.encode("latin1") if opcode.name != "STOP" else b""
    size = opcode.arg.n
    if size == pickletools.UP_TO_NEWLINE:
        lines = 2 if opcode.name in ("GLOBAL", "INST") else 1
        text = b"".join(rng.choice([b"1", b"99", b"'a'", b"os", b"L5L", b"1e5"]) + b"\n" for _ in range(lines))
        return opcode.code.encode("latin1") + text
    if size > 0:
        return opcode.code.encode("latin1") + bytes(rng.choice([0, 1, 2, 255]) for _ in range(size))
    width = {"1": 1, "4": 4, "8": 8}.get(opcode.name[-1], 1 if "SHORT" in opcode.name or opcode.name == "LONG1" else 4)
    length = rng.choice([0, 2, 5, 255, 2**31 - 1])
    return opcode.code.encode("latin1") + (length % 256**width).to_bytes(width, "little") + b"abcde"[:length]


def mutate_json(rng: random.Random, value: object) -> object:
    """Return JSON values with one of them replaced, removed or repeated."""
    if isinstance(value, dict) and value and rng.random() < 0.93:
        key = rng.choice(list(value))
        if rng.random() < 0.08:
            return {name: sub for name, sub in value.items() if name != key}
        return {**value, key: mutate_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        index = rng.randrange(len(value))
        return [*value[:index], mutate_json(rng, value[index]), *value[index + 1 :] * rng.choice([1, 1, 3])]
    return rng.choice(VALUES)


def mutate_member(rng: random.Random, data: bytes, name: str | None = None) -> bytes:
    """Return a zip with one member damaged, its checksums right."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as copy, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = name or rng.choice(source.namelist())
        for member in source.namelist():
            content = source.read(member)
            if member == chosen:
                content = mutate(rng, "pickle", content) if member.endswith(".pkl") else mutate_inner(rng, content)
                member = rng.choice([member, member, member, "../../" + member, "/etc/" + member])
            copy.writestr(member, content, rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
    return target.getvalue()


def mutate_inner(rng: random.Random, content: bytes) -> bytes:
    return mutate(rng, "weights", content) if content[:2] == b"PK" else damage(rng, content)


def mutate_agent(rng: random.Random, data: bytes) -> bytes:
    """Return an agent's zip with an attribute replaced, or the pickle of one, or a member damaged."""
    if rng.random() < 0.3:
        return mutate_member(rng, data)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.namelist():
            content = source.read(member)
            if member == "data":
                values = json.loads(content)
                keys = [
                    "policy_kwargs",
                    "observation_space",
                    "action_space",
                    "policy_class",
                    *rng.sample(list(values), 2),
                ]
                key = rng.choice([key for key in keys if key in values])
                if rng.random() < 0.3 or not isinstance(values[key], dict) or ":serialized:" not in values[key]:
                    values[key] = rng.choice(VALUES)
                elif key == "policy_kwargs" or rng.random() < 0.5:
                    odd = {rng.choice(ARGUMENTS): rng.choice(VALUES)}
                    values[key][":serialized:"] = base64.b64encode(pickle.dumps(odd)).decode()
                else:
                    good = base64.b64decode(values[key][":serialized:"])
                    values[key][":serialized:"] = base64.b64encode(mutate(rng, "pickle", good)).decode()
                content = json.dumps(values).encode()
            copy.writestr(member, content)
    return target.getvalue()


def mutate_student(rng: random.Random, data: bytes) -> bytes:
    """Return a student file that lies under a right checksum."""
    size = int.from_bytes(data[:8], "little")
    record = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][KEY])
    tensors = load(data)
    for _ in range(rng.choice([1, 1, 2])):
        record = mutate_json(rng, record)
        if not isinstance(record, dict):
            return b"{}"
    if rng.random() < 0.3:
        name = rng.choice(list(tensors))
        tensors[name] = rng.choice(
            [tensors[name].T.copy(), tensors[name].astype(np.int64), np.zeros((0, 3), np.float32)]
        )
    with tempfile.TemporaryDirectory() as folder:
        write_sealed(Path(folder) / "s", tensors, record)
        return (Path(folder) / "s").read_bytes()


def main() -> None:
    """Try random inputs for some seconds a reader, and say what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--readers", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coverage", action="store_true", help="guided by atheris; one reader a process")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        readers = Readers(Path(folder))
        if options.coverage:
            guided(readers, options)
        for name in options.readers or readers.readers:
            tried = run(readers, name, options.seconds, random.Random(options.seed), options.keep)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(
                f"{name:13} {tried['loaded'] + tried['refused']:8,} inputs, {dict(tried)}, peak {peak} MiB", flush=True
            )


def run(readers: Readers, name: str, seconds: float, rng: random.Random, keep: Path) -> collections.Counter:
    """Try random inputs of one reader; harmful ones are kept in a folder."""
    tried: collections.Counter = collections.Counter()
    signal.signal(signal.SIGVTALRM, _hang)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate(rng, name, rng.choice(readers.seeds[name]))
        signal.setitimer(signal.ITIMER_VIRTUAL, 20)
        try:
            tried["loaded" if attempt(readers.readers[name], data) else "refused"] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            tried[f"HARM {type(error).__name__}"] += 1
            found = keep / name / f"{abs(hash(data)):x}"
            found.parent.mkdir(parents=True, exist_ok=True)
            found.write_bytes(data)
            if sum(value for key, value in tried.items() if key.startswith("HARM")) <= 5:
                print(f"{name}: {type(error).__name__}: {str(error)[:200]} ({found})", flush=True)
                import traceback

                print(" <- ".join(f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-4:]))
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return tried


def _hang(number: int, frame: object) -> None:
    raise TimeoutError("hang")


def guided(readers: Readers, options: argparse.Namespace) -> None:
    """Let atheris choose the inputs; it ends the process."""
    import atheris

    (name,) = options.readers
    corpus = readers.folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(readers.seeds[name]):
        (corpus / str(number)).write_bytes(seed)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("policy_distill.") or module.__name__ in (
            "zipfile",
            "pickletools",
        ):
            for value in list(vars(module).values()):
                if (
                    callable(value)
                    and getattr(value, "__module__", None) == module.__name__
                    and hasattr(value, "__code__")
                ):
                    atheris.instrument_func(value)
    options.keep.mkdir(parents=True, exist_ok=True)
    limits = [
        f"-artifact_prefix={options.keep}/",
        f"-max_total_time={int(options.seconds)}",
        "-rss_limit_mb=3000",
        "-timeout=20",
        f"-seed={options.seed + 1}",
    ]
    atheris.Setup(
        [sys.argv[0], str(corpus), "-print_final_stats=1", *limits],
        lambda data: attempt(readers.readers[name], data) and None,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
