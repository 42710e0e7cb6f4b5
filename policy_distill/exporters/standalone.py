"""A distilled policy that acts with NumPy alone: copy this folder to where nothing can be installed.

    from policy import Policy
    policy = Policy()                  # reads policy.json and weights.npz beside this file
    action = policy.act(obs)           # one raw observation, the executed action
    actions = policy.predict(batch)    # a batch [B, ...]; a dict of such for Dict observations
    action = policy.act(obs, mask)     # of discrete actions only those that the mask allows
    policy.reset()                     # where an episode begins: a policy with a memory forgets

`policy.json` says what it computes, and on how many states it was compared with the student that it was made of.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

OPERATIONS: dict[str, Any] = {}
"""What makes a layer's function of its record and the arrays; those that are needed stand at the end of the file."""


class Policy:
    """Raw observations in, executed deterministic actions out; normalisation and post-processing are inside."""

    def __init__(self, folder: str | Path | None = None) -> None:
        """Read `policy.json` and `weights.npz` of a folder, by default this file's."""
        folder = Path(folder) if folder is not None else Path(__file__).resolve().parent
        self.record: dict[str, Any] = json.loads((folder / "policy.json").read_text())
        self.parts: list[dict[str, Any]] = self.record["parts"]
        self.head: dict[str, Any] = self.record["head"]
        self.action: dict[str, Any] = self.record["action"]
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        layers = [(OPERATIONS[layer["op"]](layer, self.arrays), layer) for layer in self.record["layers"]]
        # Runs of layers, and how many of a vector's last numbers wait beside each.
        self.runs = [(n, list(run)) for n, run in groupby(enumerate(layers), lambda one: one[1][1].get("beside", 0))]
        parts = self.record["memory"]["parts"].items()
        self.remembered = {int(place): slice(*ends) for place, ends in parts}
        self.memory = self.begin(1)

    def reset(self) -> None:
        """Begin an episode: forget what `act` remembers."""
        self.memory = self.begin(1)

    def begin(self, n: int) -> np.ndarray:
        """Return the states `[n, size]` of `n` episodes that begin; of no size for a policy without a memory."""
        return np.zeros((n, self.record["memory"]["size"]), np.float32)

    def act(self, obs: Any, action_masks: Any = None) -> Any:
        """Return the executed action for one raw observation; a policy with a memory remembers from call to call."""
        if isinstance(obs, dict):
            obs = {key: np.asarray(value)[None] for key, value in obs.items()}
        else:
            obs = np.asarray(obs)[None]
        actions, self.memory = self.step(obs, self.memory, action_masks)
        return actions[0]

    def step(self, obs: Any, state: np.ndarray, action_masks: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the executed actions `[B, ...]` for one step of each episode, and the next state."""
        outputs, state = self._run(obs, state)
        actions = self._chosen(outputs, action_masks)
        if (awaited := self.record["memory"]["awaited"]) is not None:
            state[:, slice(*awaited)] = self._taken(actions)
        return actions, state

    def _taken(self, actions: np.ndarray) -> np.ndarray:
        """Return the numbers that executed actions are remembered by."""
        flat = actions.reshape(len(actions), -1)
        if self.head["kind"] == "argmax":
            columns = (flat - np.asarray(self.action["start"]).reshape(-1)).T
            pairs = zip(columns, self.head["sizes"], strict=True)
            return np.concatenate([column[:, None] == np.arange(size) for column, size in pairs], axis=1)
        return (flat.astype(np.float32) - self.arrays["taken.middle"]) * self.arrays["taken.factor"]

    def predict(self, obs: Any, action_masks: Any = None) -> np.ndarray:
        """Return the executed actions `[B, ...]` for a batch of raw observations.

        `action_masks`, bool `[B, P]` or `[P]` for all alike, has True for each discrete action that is allowed. Of a
        policy with a memory each observation is the first of an episode.
        """
        return self._chosen(self.outputs(obs), action_masks)

    def _chosen(self, outputs: np.ndarray, action_masks: Any) -> np.ndarray:
        scores = self._scores(outputs)
        if action_masks is not None:
            if self.action["kind"] != "index":
                raise ValueError("expected no action_masks for continuous actions, which cannot be masked")
            scores = np.where(np.asarray(action_masks, bool), scores, np.float32(-1e8))
        return self._execute(self._mode(scores))

    def outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs `[B, P]`: logits, or means and then log sigma where the network gives it."""
        return self._run(obs, self.begin(len(next(iter(obs.values())) if isinstance(obs, dict) else obs)))[0]

    def _run(self, obs: Any, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, after = self._features(obs), np.empty_like(state)
        for n, run in self.runs:
            waiting = x[:, -n:] if n else None
            x = x[:, :-n] if n else x
            for place, (layer, _) in run:
                if place in self.remembered:
                    x, after[:, self.remembered[place]] = layer(x, state[:, self.remembered[place]])
                else:
                    x = layer(x)
            x = x if waiting is None else np.concatenate([x, waiting], axis=1)
        return x, after

    def _features(self, obs: Any) -> np.ndarray:
        if self.record["image"]:
            image = np.asarray(obs)
            return image if self.record["channels_first"] else np.moveaxis(image, -1, 1)
        rows = [self._part(part, np.asarray(obs[part["key"]] if part["key"] else obs)) for part in self.parts]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)

    def _part(self, part: dict[str, Any], obs: np.ndarray) -> np.ndarray:
        n, name = len(obs), part["name"]
        if part["one_hot"]:
            features = np.zeros((n, part["size"]), np.float32)
            columns = obs.reshape(n, -1).astype(np.int64) + self.arrays[f"{name}.offsets"]
            np.put_along_axis(features, columns, 1.0, axis=1)
            return features
        flat = obs.reshape(n, -1)
        if f"{name}.mean" in self.arrays:
            flat = (flat - self.arrays[f"{name}.mean"]) * self.arrays[f"{name}.scale"]
            if part["clip"] is not None:
                flat = np.clip(flat, -part["clip"], part["clip"])
        return flat.astype(np.float32) * np.float32(part["factor"])

    def _scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return what the action is chosen by: all logits, those of 0 included that are no outputs, or means."""
        modes = outputs[:, : self.head["n_modes"]]
        return np.pad(modes, ((0, 0), (1, 0)))[:, self.head["places"]] if self.head["reference"] else modes

    def _mode(self, scores: np.ndarray) -> np.ndarray:
        kind = self.head["kind"]
        if kind == "argmax":
            choices = np.split(scores, np.cumsum(self.head["sizes"])[:-1], axis=1)
            return np.stack([choice.argmax(axis=1) for choice in choices], axis=1)
        if kind == "threshold":
            return (scores > 0).astype(np.int64)
        return np.tanh(scores) if kind == "tanh" else scores

    def _execute(self, mode: np.ndarray) -> np.ndarray:
        action = self.action
        if action["kind"] == "index":
            mode = mode + np.asarray(action["start"]).reshape(-1)
        shaped = mode.reshape(len(mode), *action["shape"])
        if action["kind"] == "clip":
            shaped = np.clip(shaped, self.arrays["action.low"], self.arrays["action.high"])
        elif action["kind"] == "unsquash":
            low, high = self.arrays["action.low"], self.arrays["action.high"]
            shaped = low + 0.5 * (shaped + np.float32(1)) * (high - low)
        return shaped.astype(action["dtype"])
