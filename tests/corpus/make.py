"""Wrote the files of this folder, each of which once harmed its reader; `python -m tests.corpus.make` writes them anew.

The folder's name is the reader's in `tests/fuzzing.py`, the file's name says what it does.
"""

import base64
import io
import json
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tests.fuzzing import Readers

HERE = Path(__file__).parent


def text(value: str) -> bytes:
    """Push text, as protocol 4 does."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module: str, name: str) -> bytes:
    """Push what a name means, as protocol 4 does."""
    return text(module) + text(name) + b"\x93"


def one_call(module: str, name: str, arguments: bytes) -> bytes:
    """A pickle that calls one name with arguments that are pushed so."""
    return b"\x80\x04" + named(module, name) + arguments + b"R."


def dtype(name: str, state: bytes = b"") -> bytes:
    """Push a NumPy dtype, then set its state."""
    return named("numpy", "dtype") + text(name) + b"\x89\x88\x87R" + (state + b"b" if state else b"")


ARRAY = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
"""Push an empty array, as NumPy pickles one before its state."""
SHARED = b"\x80\x04]\x94" + b"".join(b"0](h%ch%ce\x94" % (n, n) for n in range(60)) + b"0"
"""Sixty lists, each holding the one before it twice; the last is remembered as number 60."""


def forged_array() -> bytes:
    """Push an array of a structured dtype with an object in it that says it has none: eight bytes become a pointer."""
    fields = b"}" + text("a") + dtype("O") + b"K\x00\x86s"
    forged = dtype("V8", b"(K\x03" + text("|") + b"N" + text("a") + b"\x85" + fields + b"K\x08K\x01K\x00t")
    return ARRAY + b"(K\x01K\x01\x85" + forged + b"\x89C\x08AAAAAAAAtb"


def pickles() -> dict[str, bytes]:
    """Pickles that ran away or crashed."""
    number = b"\x8a\x08" + struct.pack("<q", 10**12)
    return {
        "bytes_of_a_size": one_call("builtins", "bytearray", number + b"\x85"),
        "array_of_a_size": one_call("numpy", "ndarray", number + b"\x85" + text("u1") + b"\x86"),
        "copies_of_copies": b"\x80\x04](" + b"K\x01" * 50_000 + b"e\x940" + named("builtins", "list") + b"\x940"
        + b"h\x01h\x00\x85R" * 5_000 + b".",
        "text_of_shared_lists": SHARED + named("builtins", "str") + b"h\x3c\x85R.",
        "deep_tuple_as_a_key": b"\x80\x04})" + b"\x85" * 200_000 + b"K\x01s.",
        "dict_of_itself": b"\x80\x04" + named("gymnasium.spaces.dict", "Dict") + b")\x81\x94}" + text("spaces")
        + b"}" + text("a") + b"h\x00ssb.",
        "space_of_shared_lists": SHARED + named("gymnasium.spaces.multi_binary", "MultiBinary") + b")\x81}" + text("n")
        + b"h\x3csb.",
    }  # fmt: skip


def statistics(mean: bytes) -> bytes:
    """A pickled `VecNormalize` whose mean and variance are pushed so."""
    rms = named("stable_baselines3.common.running_mean_std", "RunningMeanStd") + b")\x81}(" + text("mean") + mean
    rms += text("var") + mean + b"ub"
    numbers = text("clip_obs") + b"K\x0a" + text("epsilon") + b"K\x00" + text("norm_obs") + b"\x88"
    name = named("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize")
    return b"\x80\x04" + name + b")\x81}(" + numbers + text("obs_rms") + rms + b"ub."


def repacked(data: bytes, changes: dict, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip with some members changed."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            change = changes.get(name)
            content = source.read(name) if change is None else change(source.read(name))
            copy.writestr(name, content, method if change else zipfile.ZIP_STORED)
    return target.getvalue()


def with_kwargs(**kwargs: object) -> object:
    """Return a change of `data` that gives the policy other arguments."""

    def change(content: bytes) -> bytes:
        values = json.loads(content)
        values["policy_kwargs"][":serialized:"] = base64.b64encode(pickle.dumps(kwargs)).decode()
        return json.dumps(values).encode()

    return change


def encrypted(data: bytes) -> bytes:
    """Return a zip whose members say that they are encrypted."""
    flagged = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = flagged.find(mark)
        while at >= 0:
            flagged[at + offset] |= 1
            at = flagged.find(mark, at + 1)
    return bytes(flagged)


def shared_storage(count: int) -> bytes:
    """Return weights that are so many numbers of one storage of 15 MB, each of which once became a copy of it."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x00tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85\x89NtR"
    items = b"".join(text(f"t{number}") + tensor + b"s" for number in range(count))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x04}" + items + b".")
        archive.writestr("archive/data/0", bytes(15_000_000))
    return target.getvalue()


def agents(agent: bytes) -> dict[str, bytes]:
    """Zips that ran away or ended in a traceback."""
    zeros = b" " * (128 * 2**20)
    return {
        "bomb": repacked(agent, {"data": lambda content: zeros}, zipfile.ZIP_DEFLATED),
        "bomb_of_bzip2": repacked(agent, {"data": lambda content: zeros}, zipfile.ZIP_BZIP2),
        "encrypted": encrypted(agent),
        "wide_network": repacked(agent, {"data": with_kwargs(net_arch=[60_000, 60_000])}),
        "one_storage_many_times": repacked(
            agent, {"policy.pth": lambda content: shared_storage(40)}, zipfile.ZIP_DEFLATED
        ),
        "many_layers": repacked(agent, {"data": with_kwargs(net_arch=[1] * 2_000)}),
    }


def students(good: bytes, folder: Path) -> dict[str, bytes]:
    """Students whose checksum is right and whose record lies."""
    from policy_distill.student.file import read_sealed, write_sealed

    (folder / "good").write_bytes(good)
    tensors, record = read_sealed(folder / "good")

    def lying(change: object, other: dict | None = None) -> bytes:
        values = json.loads(json.dumps(record))
        change(values)
        write_sealed(folder / "lying", other or tensors, values)
        return (folder / "lying").read_bytes()

    return {
        "observations_too_many": lying(lambda r: r["observation_space"].update(shape=[10**11])),
        "choices_too_many": lying(lambda r: r.update(observation_space={"type": "Discrete", "n": 10**11, "start": 0})),
        "layers_that_do_not_fit": lying(lambda r: r["architecture"]["layers"].reverse()),
        "specification_too_large": lying(lambda r: r["architecture"].update(spec="mlp:65536,65536")),
        "weights_that_are_not_finite": lying(
            lambda r: None, {**tensors, "network.0.bias": np.full_like(tensors["network.0.bias"], np.nan)}
        ),
        "sizes_that_are_not_its_own": lying(lambda r: r["architecture"].update(n_params=1)),
        "numbers_that_json_has_not": lying(lambda r: r["provenance"].update(seed=float("nan"))),
        "start_that_is_a_list": lying(lambda r: r["action_space"].update(start=[[1]])),
        "bounds_that_are_no_numbers": lying(lambda r: r["observation_space"].update(low="nan")),
        "weights_of_another_shape": lying(
            lambda r: None, {**tensors, "network.0.weight": np.zeros((3, 3), np.float32)}
        ),
    }


def main() -> None:
    """Write all files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds = Readers(folder).seeds
        files = {
            "pickle": pickles(),
            "vecnormalize": {"forged_dtype": statistics(forged_array())},
            "teacher": agents(seeds["teacher"][0]),
            "student": students(seeds["student"][0], folder),
            "zoo": {
                "merges_of_merges": b"a0: &a0 {x: 1}\n"
                + b"".join(b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(1, 40)),
                "wrapper_of_shared_lists": b"a0: &a0 [1]\n"
                + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
                + b"env_wrapper: [*a59]\n",
                "environment_of_shared_lists": b"a0: &a0 [1]\n"
                + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
                + b"env: *a59\n",
                "stack_of_words": b"frame_stack: many\n",
                "list_that_is_none": b"env_wrapper: '[1, 2'\n",
                "empty_wrapper": b"env_wrapper: [{}]\n",
                "number_of_many_digits": b"a: 1" + b":1" * 100_000 + b"\n",
            },
            "metrics": {
                "not_text": b"\xff\xfe\n{}\n",
                "no_objects": b"[1]\n3\n",
                "no_step": b'{"train/loss": 1}\n{"train/loss": 1}\n',
                "deep": b"[" * 100_000 + b"\n{}\n",
                "number_of_many_digits": b'{"time/env_steps": 1' + b"0" * 5_000 + b"}\n{}\n",
            },
            "grid": {"path_too_long": f"teachers: {'a' * 300}\n".encode()},
            "config": {
                "words_for_numbers": b'{"timesteps": "many"}',
                "infinite_rate": b'{"learning_rate": Infinity}',
                "half_an_environment": b'{"n_envs": 1.5}',
                "too_many_environments": b'{"n_envs": 1000000000}',
            },
        }
    for reader, inputs in files.items():
        (HERE / reader).mkdir(exist_ok=True)
        for label, data in inputs.items():
            (HERE / reader / label).write_bytes(data)
            print(reader, label, len(data))


if __name__ == "__main__":
    main()
