import ast
import zipfile
from pathlib import Path

import pytest

from experiments.suite import NOT_EXPERIMENTS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "policy_distill"

# Each stage may import its own and earlier ones. Folders stand for all modules in them.
ORDER = [
    ["errors", "version", "interfaces", "masks", "answers", "blame", "notices", "threads", "background"],
    ["generators", "wording", "seeds"],
    ["plain_file"],
    ["betting", "falls", "scale"],
    ["verdict"],
    ["statistics", "proof_plan", "spent"],
    ["kept", "paired_returns", "headline"],
    ["training_seeds"],
    ["spaces", "pixels", "observations", "measuring", "actions", "layers", "plan"],
    ["action_check"],
    ["config", "student_file", "checkpoint_files", "student_check", "interrupts", "progress", "packing"],
    ["schedule", "feature_layout", "recovery", "restarts"],
    ["memory"],
    ["engines", "quantization"],
    ["distributions", "networks", "losses", "runtime"],
    ["env_identity"],
    ["frozen_normalization"],
    ["agent_wrappers", "wrapper_arguments", "wrappers", "make_env", "perturb_actions"],
    ["perturb_wrappers"],
    ["env_names"],
    ["perturb"],
    ["env_faults", "env_watch", "running_statistics", "usable_keys"],
    ["environment_list"],
    ["environments", "vector_environments"],
    ["frame_stack"],
    ["folder_lock", "fit", "env_choice", "actors", "sampling", "device"],
    ["episode_limit", "episode_trace"],
    ["episodes"],
    ["teachers"],
    ["sources"],
    ["evaluation"],
    ["mode_and_sample", "observation_units"],
    ["reference"],
    ["paired"],
    ["robustness"],
    ["episodes_state"],
    ["rollout", "shared_frames"],
    ["feature_store", "state_sample"],
    ["buffer"],
    ["student", "fidelity", "run_folder", "adam"],
    ["dense_step", "autograd_step"],
    ["training"],
    ["session", "provenance"],
    ["selection", "comparison", "proof", "settle"],
    ["rescue"],
    ["session_state"],
    ["checkpoint", "result", "tracking", "exporters"],
    ["standpoint", "sinks"],
    ["report"],
    ["handover"],
    ["loop", "benchmark"],
    ["commands"],
    ["cli", "__main__"],
]
SCRIPTS = {path.stem for path in (ROOT / "experiments").glob("*.py")} - NOT_EXPERIMENTS
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
PACKAGES = {"policy_distill", *(f"policy_distill.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py"))}
# A late import inside a function, so that acting does not pay for torch.
LATE = {("runtime", "student"), ("runtime", "exporters"), ("environments", "vector_environments")}


def modules():
    return {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")}


def imports(path):
    tree = ast.parse(path.read_text())
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    typed = {id(node) for guard in guards for node in ast.walk(guard)}
    for node in ast.walk(tree):
        if id(node) in typed:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def stage(module):
    return module.split(".")[1] if "." in module else ""


def test_every_module_has_its_place_in_the_order():
    stages = {stage(name) for name in modules()} - {"", "__init__"}
    assert stages == set(RANK)


@pytest.mark.parametrize("name", sorted(set(modules()) - {"policy_distill.__init__"}))
def test_a_module_imports_only_what_stands_before_it(name):
    for target in imports(modules()[name]):
        if not target.startswith("policy_distill.") or (stage(name), stage(target)) in LATE:
            continue
        assert RANK[stage(target)] <= RANK[stage(name)], f"{name} imports {target}"


def test_there_are_no_cycles():
    known = modules()
    graph = {name: {t for t in imports(path) if t in known and t != name} for name, path in known.items()}
    graph["policy_distill.runtime"] -= {"policy_distill.student", "policy_distill.exporters.sb3"}
    graph["policy_distill.environments"].discard("policy_distill.vector_environments")
    done, open_ = set(), []

    def visit(name):
        assert name not in open_, " → ".join([*open_[open_.index(name) :], name])
        if name not in done:
            open_.append(name)
            for target in graph[name]:
                visit(target)
            done.add(open_.pop())

    for name in graph:
        visit(name)


def test_no_module_imports_from_outside():
    for name, path in modules().items():
        for target in imports(path):
            assert target.split(".")[0] not in {"envs", "experiments", "tests"}, f"{name} imports {target}"


def test_names_come_from_the_module_that_defines_them():
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in PACKAGES:
                assert all(f"{node.module}.{alias.name}" in modules() for alias in node.names), f"{name}: {node.module}"


def test_files_and_functions_are_small():
    for folder in ("policy_distill", "envs", "experiments"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            limit = 60 if folder == "envs" or (path.parent.name == "experiments" and path.stem in SCRIPTS) else 220
            assert len(text.splitlines()) <= limit, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno < 66, f"{path}: {node.name}"


def test_environments_know_nothing_of_the_library():
    for path in (ROOT / "envs").glob("*.py"):
        assert not [target for target in imports(path) if target.startswith("policy_distill")]


def test_the_public_surface_is_small_and_works():
    import policy_distill

    assert len(policy_distill.__all__) <= 12
    for name in policy_distill.__all__:
        assert getattr(policy_distill, name) is not None
        assert name in dir(policy_distill)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = policy_distill.nothing


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone_and_works_elsewhere(tmp_path):
    import subprocess
    import sys

    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name, "one build serves every later Python"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
        assert tops == {"policy_distill"}
        assert "policy_distill/py.typed" in names
        assert "policy_distill/engines/_native.abi3.so" in names
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert "policy-distill = policy_distill.cli:main" in archive.read(entry).decode()
        archive.extractall(tmp_path / "site")
    code = "import policy_distill, sys; print(policy_distill.__file__)"
    env = {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path))
