"""`web`: one HTML page with the policy in plain JavaScript, which computes each action that the page shows.

In: a student. Out: the page, and its actions as the page's own code gives them, run by Node.js.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters.numpy_folder import describe_plan, plan_arrays
from policy_distill.exporters.parity import Reference
from policy_distill.exporters.web.scene import BY_HAND, Scene, encoded
from policy_distill.interfaces.students import Run
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.onboard.names import action_names, observation_names
from policy_distill.student.onboard.origins import StudentProvenance
from policy_distill.student.operations.table import OPERATIONS
from policy_distill.student.plan import Plan
from policy_distill.student.record import StudentRecord
from policy_distill.student.spaces import SpaceRecord

HERE = Path(__file__).parent
MOST_RANGES = 40
"""Numbers that a reader may move, as of `page.js`."""
SCRIPTS = ("policy.js", "cartpole.js", "page.js")
# Nothing is fetched and nothing sent, whatever the page is given.
SECURITY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
HTML = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{security}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>{style}</style></head><body>
<h1>{title}</h1><p class="soft">{about}</p>
<section><canvas id="canvas" width="900" height="420"></canvas><p id="told"></p>
<div id="controls"><button id="pause">pause</button><button id="again">restart</button>
<button id="push" hidden>push</button></div><div id="hand"></div></section>
<div class="two"><section><h2>Observation</h2><div id="seen"></div></section>
<section><h2>Action</h2><p id="action"></p><div id="scores"></div></section></div>
<p class="soft">{checked}</p>
<script type="application/json" id="policy">{data}</script>
{scripts}</body></html>
"""
RUNNER = """
const fs = require("fs"), given = JSON.parse(fs.readFileSync("given.json"));
const policy = makePolicy(given.description, given.arrays), parts = Object.values(decode(given.obs));
const masks = given.masks && decode({masks: given.masks}).masks, starts = given.starts;
const size = (part) => part.data.length / given.n, found = [];
let memory = policy.begin();
for (let row = 0; row < given.n; row++) {
  if (!starts || starts[row]) memory = policy.begin();
  const of = (part) => part.data.subarray(row * size(part), (row + 1) * size(part));
  const acted = policy.act(parts.map(of), memory, masks ? of(masks) : null);
  memory = acted.memory;
  found.push(...acted.action);
}
fs.writeFileSync("actions.bin", Buffer.from(Float64Array.from(found).buffer));
"""


def write(
    student: StudentRecord,
    path: Path,
    record: Mapping[str, Any],
    reference: Reference,
    quantized: Mapping[int, QuantizedLayer] | None = None,
) -> dict[str, Any]:
    """Write the page.

    Raises:
        RequestError: for a layer of an installed package, which has no form in JavaScript.
    """
    plan, scene = student.plan, record.get("scene") or BY_HAND
    kept = {key: value for key, value in record.items() if key != "scene"}
    data = {**_policy(plan), **_shown(student, scene), "record": kept}
    origin, architecture = StudentProvenance.of(student.description.provenance), student.description.architecture
    title = f"{origin.env_id or 'A policy'}: {architecture.spec}, {architecture.sizes.n_params:,} numbers"
    teacher = origin.algorithm.upper() if origin.algorithm else "a teacher"
    page = HTML.format(
        security=SECURITY,
        title=escape(title),
        style=_text("page.css"),
        about=escape(f"{scene.about} The policy was distilled from {teacher} by policy-distill."),
        checked=escape(_checked(record.get("parity"))),
        data=_json(data),
        scripts="\n".join(f'<script id="{name}">{_text(name)}</script>' for name in SCRIPTS),
    )
    path.write_text(page, encoding="utf-8")
    return {"scene": scene.kind}


def open_artefact(student: StudentRecord, path: Path) -> Run:
    """Return the function from a batch of raw observations to executed actions, by the page's own script and data.

    Raises:
        RequestError: where Node.js is not installed, without which nothing can be checked.
    """
    node = shutil.which("node")
    if node is None:
        raise RequestError("expected Node.js (node) to check the page with, found none; install it, or use --format c")
    page = path.read_text(encoding="utf-8")
    data, script = (_element(page, name) for name in ("policy", "policy.js"))
    known, action_map = json.loads(data), student.plan.action_map

    def run(obs: Any, action_masks: np.ndarray | None = None, episode_starts: np.ndarray | None = None) -> np.ndarray:
        parts = [obs[part.key] if isinstance(obs, dict) else obs for part in student.plan.featurizer.parts]
        n = len(parts[0])
        given = {
            "description": known["description"],
            "arrays": known["arrays"],
            "n": n,
            "obs": {str(k): encoded(np.asarray(part)) for k, part in enumerate(parts)},
            "masks": None if action_masks is None else encoded(np.asarray(action_masks, np.uint8)),
            "starts": None if episode_starts is None else episode_starts.tolist(),
        }
        actions = _run(node, script + RUNNER, given)
        return actions.reshape(n, *action_map.shape).astype(action_map.dtype)

    return run


def _run(node: str, script: str, given: dict[str, Any]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.js").write_text(script, encoding="utf-8")
        (folder / "given.json").write_text(json.dumps(given))
        done = subprocess.run([node, "run.js"], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunFault(f"the page's script failed in node: {done.stderr[:2000]}")
        return np.fromfile(folder / "actions.bin", "<f8")


def _policy(plan: Plan) -> dict[str, Any]:
    """Return what `makePolicy` takes."""
    unknown = [layer["op"] for layer in plan.layers if layer["op"] not in OPERATIONS]
    if unknown:
        raise RequestError(f"the operation {unknown[0]!r} has no form for web; use format numpy")
    described = describe_plan(plan)
    for said, part in zip(described["parts"], plan.featurizer.parts, strict=True):
        said["raw_size"] = part.raw_size
    described["image_shape"] = list(plan.featurizer.parts[0].shape) if plan.featurizer.is_image else None
    return {"description": described, "arrays": {name: encoded(one) for name, one in plan_arrays(plan).items()}}


def _shown(student: StudentRecord, scene: Scene) -> dict[str, Any]:
    """Return what the page shows beside the policy's numbers."""
    parts, view = student.plan.featurizer.parts, student.view
    columns, env_id = view.components.get(""), StudentProvenance.of(student.description.provenance).env_id
    whole = observation_names(env_id, view.whole or student.description.observation_space) or view.labels
    names = [whole[column] for column in columns] if whole and columns else [*whole]
    actions = action_names(env_id, student.description.action_space) or ()
    space = student.description.observation_space
    subs = space["spaces"] if space["type"] == "Dict" else {"": space}
    by_hand = scene is BY_HAND and sum(part.raw_size for part in parts) <= MOST_RANGES
    ranges = [one for part in parts for one in _ranges(subs[part.key], part.raw_size)] if by_hand else []
    whole_numbers = all(part.dtype.kind != "f" for part in parts)
    seen = {"names": names, "action_names": actions, "columns": columns, "ranges": ranges, "whole": whole_numbers}
    return {"scene": scene.to_json(), **seen}


def _ranges(space: SpaceRecord, size: int) -> list[tuple[float, float]]:
    """Return from where to where a reader may move each number; ±3 where a space has no bounds."""
    if space["type"] == "Box":
        low, high = (np.broadcast_to(np.asarray(space[k], np.float64).ravel(), (size,)) for k in ("low", "high"))
        low, high = (np.where(np.abs(one) < 1e6, one, np.sign(one) * 3) for one in (low, high))
    elif space["type"] == "MultiBinary":
        low, high = np.zeros(size), np.ones(size)
    else:
        low = np.ravel(np.asarray(space["start"], np.float64))
        high = low + np.ravel(np.asarray(space["n"] if space["type"] == "Discrete" else space["nvec"])) - 1
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _checked(parity: Mapping[str, Any] | None) -> str:
    if parity is None:
        return "Not yet compared with the student."
    n = parity["n_visited"] + parity["n_hostile"]
    return f"Compared with the student on {n:,} states: {parity['agreement']:.2%} of its actions are the same."


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _json(data: Any) -> str:
    """Return JSON that cannot end the element that it stands in."""
    return json.dumps(data, default=str, allow_nan=False).replace("<", "\\u003c")


def _element(page: str, name: str) -> str:
    found = re.search(rf'<script[^>]* id="{re.escape(name)}">(.*?)</script>', page, flags=re.DOTALL)
    if found is None:
        raise RunFault(f"the page has no script {name}")
    return found[1]
