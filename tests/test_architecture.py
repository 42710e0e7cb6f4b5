import ast
import re
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from experiments.suite import NOT_EXPERIMENTS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "policy_distill"

# Each room may import its own files and rooms of this rank or of those before it. A file at the top is a room.
ORDER = [
    ["errors", "interfaces", "seeds"],
    ["config", "system"],
    ["student"],
    ["families", "networks", "losses", "environments"],
    ["training"],
    ["collection"],
    ["teachers"],
    ["evaluation"],
    ["exporters", "tracking"],
    ["report"],
    ["run", "compression"],
    ["benchmark", "commands", "cli", "tune", "__main__"],
]
MOST_RANKS = 12
MOST_FILES = 25
"""Entries of one folder."""
MOST_LINES = 45
"""Of a function, from its `def` to its end, without its docstring: what is said of arguments has the room it needs."""
SHARED = {"write", "open_artefact", "summary", "Policy"}
"""Names that files of one contract, or of one place, have alike; `Policy` is also the class that a folder is given."""
SCRIPTS = {path.stem for path in (ROOT / "experiments").glob("*.py")} - NOT_EXPERIMENTS
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
PACKAGES = {".".join(path.relative_to(ROOT).parent.parts) for path in PACKAGE.rglob("__init__.py")}
# These name classes that zips name, beside those of Stable-Baselines3: what may stand there, not what is used.
OF_FILES = {"policy_distill.teachers.algorithms", "policy_distill.teachers.files.safe_load"}


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
    assert len(ORDER) <= MOST_RANKS


@pytest.mark.parametrize("name", sorted(set(modules()) - {"policy_distill.__init__"}))
def test_a_module_imports_only_what_stands_before_it(name):
    for target in targets(name):
        assert RANK[stage(target)] <= RANK[stage(name)], f"{name} imports {target}"


def picture():
    """Return the arrows of ARCHITECTURE.md: for each room those that it points to."""
    drawn = re.search(r"```mermaid\n(.*?)```", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.DOTALL)[1]
    drawn = re.sub(r'base\["([^"]*)"\]', lambda found: found[1].replace("·", "&"), drawn)
    arrows = {}
    for line in re.sub(r'\["[^"]*"\]', "", drawn).splitlines()[1:]:
        groups = [[name.strip() for name in group.split("&")] for group in line.split("-->")]
        for sources, goals in pairwise(groups):
            for source in sources:
                arrows.setdefault(source, set()).update(goals)
    return arrows


def test_the_picture_has_every_room_and_a_way_for_every_import():
    arrows = picture()
    assert set(arrows) | {goal for goals in arrows.values() for goal in goals} == set(RANK) - {"__main__"}

    def reached(room):
        return {room}.union(*(reached(goal) for goal in arrows.get(room, ())))

    for name in modules():
        for target in targets(name):
            if stage(name) not in ("", "__init__", "__main__") and stage(target):
                assert stage(name) in reached(stage(target)), f"{name} imports {target}"


@pytest.mark.parametrize("of", [stage, lambda name: name], ids=["rooms", "files"])
def test_there_are_no_cycles(of):
    graph = {of(name): set() for name in modules() if stage(name) not in ("", "__init__")}
    for name in modules():
        if of(name) in graph:
            graph[of(name)] |= {of(target) for target in targets(name)} - {of(name)}
    done, open_ = set(), []

    def visit(node):
        assert node not in open_, " → ".join([*open_[open_.index(node) :], node])
        if node not in done:
            open_.append(node)
            for target in graph.get(node, ()):
                visit(target)
            done.add(open_.pop())

    for node in graph:
        visit(node)


def named(path):
    """Return the modules of the package that a file names in texts, as it does to import them late."""
    known = modules()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and re.fullmatch(r"policy_distill(\.\w+)+(:[\w.]+)?", str(node.value)):
            whole = node.value.partition(":")[0]
            yield from {whole, whole.rpartition(".")[0]} & set(known)


def targets(name):
    """Return the modules of the package that one imports, late imports and names in texts included."""
    known = modules()
    found = set(imports(known[name])) & set(known)
    return found.union(() if name in OF_FILES else named(known[name])) - {name}


def test_a_public_name_stands_for_one_thing():
    found = {}
    for name, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, set()).add(name)
    twins = {name: sorted(places) for name, places in found.items() if len(places) > 1}
    assert set(twins) <= SHARED, {name: twins[name] for name in set(twins) - SHARED}


def test_no_folder_is_a_heap():
    for folder in (path.parent for path in PACKAGE.rglob("__init__.py")):
        entries = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
        assert len(entries) <= MOST_FILES, folder


def test_no_module_imports_from_outside():
    for name, path in modules().items():
        for target in imports(path):
            assert target.split(".")[0] not in {"envs", "experiments", "tests"}, f"{name} imports {target}"


def test_what_judges_returns_runs_no_episode():
    room = "policy_distill.evaluation"
    for name in modules():
        if name.startswith(f"{room}.proof."):
            used = {target for target in targets(name) if target.startswith(room)}
            assert all(target.startswith((f"{room}.proof.", f"{room}.statistics")) for target in used), name


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
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    assert lines_of(node) <= MOST_LINES, f"{path}: {node.name}"


def lines_of(function):
    """Return the lines of a function without its docstring."""
    first = function.body[0]
    said = 0 if ast.get_docstring(function) is None else first.end_lineno - first.lineno + 1
    return function.end_lineno - function.lineno + 1 - said


def test_lines_are_counted_without_the_docstring_and_with_all_else():
    text = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    # Why.\n    return a\n'
    assert lines_of(ast.parse(text).body[0]) == 5
    assert lines_of(ast.parse("def f():\n    return 1\n").body[0]) == 2


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
        assert "policy_distill/student/engines/_native.abi3.so" in names
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert "policy-distill = policy_distill.cli:main" in archive.read(entry).decode()
        archive.extractall(tmp_path / "site")
    code = "import policy_distill, sys; print(policy_distill.__file__)"
    env = {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path))
