/* A distilled policy in plain JavaScript: raw observations in, executed deterministic actions out.

   const policy = makePolicy(description, arrays);
   let memory = policy.begin();                    // where an episode begins
   const {action, scores} = policy.act(obs, memory);  // one array of numbers for each part of the observation
   memory = what act returned as `memory`

   `description` and `arrays` stand in the page as JSON; arrays are base64 of little-endian numbers. */
"use strict";

const ARRAYS = {float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array};

function decode(arrays) {
  const found = {};
  for (const [name, {dtype, shape, data}] of Object.entries(arrays)) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    found[name] = {shape, data: new ARRAYS[dtype](bytes.buffer)};
  }
  return found;
}

/* What makes a layer's function of its record and the arrays. A value is {shape, data}; layers with a memory take what
   they remember too, and write what they will into `after`. Sums of a tree are rounded term by term, as everywhere. */
const OPERATIONS = {
  linear(layer, arrays) {
    const weight = arrays[layer.weight], bias = arrays[layer.bias].data, [nOut, nIn] = weight.shape;
    return ({data}) => {
      const y = new Float32Array(nOut);
      for (let o = 0; o < nOut; o++) {
        let sum = bias[o];
        for (let i = 0; i < nIn; i++) sum += weight.data[o * nIn + i] * data[i];
        y[o] = sum;
      }
      return {shape: [nOut], data: y};
    };
  },
  tanh: () => ({shape, data}) => ({shape, data: Float32Array.from(data, Math.tanh)}),
  relu: () => ({shape, data}) => ({shape, data: Float32Array.from(data, (one) => (one < 0 ? 0 : one))}),
  scale(layer) {
    const factor = Math.fround(layer.factor);
    return ({shape, data}) => ({shape, data: Float32Array.from(data, (one) => Math.fround(one) * factor)});
  },
  flatten: () => ({data}) => ({shape: [data.length], data}),
  select: (layer) => ({data}) => ({
    shape: [layer.columns.length], data: Float32Array.from(layer.columns, (column) => data[column])}),
  image(layer) {
    return ({data}) => (layer.channels_last ? channelsFirst({shape: layer.shape, data}) : {shape: layer.shape, data});
  },
  conv2d(layer, arrays) {
    const weight = arrays[layer.weight], bias = arrays[layer.bias].data, stride = layer.stride;
    const [nOut, nIn, height, width] = weight.shape;
    return ({shape, data}) => {
      const [, rows, columns] = shape;
      const outRows = Math.floor((rows - height) / stride) + 1, outColumns = Math.floor((columns - width) / stride) + 1;
      const y = new Float32Array(nOut * outRows * outColumns);
      let place = 0;
      for (let o = 0; o < nOut; o++)
        for (let r = 0; r < outRows; r++)
          for (let c = 0; c < outColumns; c++) {
            let sum = bias[o], v = o * nIn * height * width;
            for (let i = 0; i < nIn; i++)
              for (let dr = 0; dr < height; dr++) {
                const line = (i * rows + r * stride + dr) * columns + c * stride;
                for (let dc = 0; dc < width; dc++) sum += data[line + dc] * weight.data[v++];
              }
            y[place++] = sum;
          }
      return {shape: [nOut, outRows, outColumns], data: y};
    };
  },
  tree(layer, arrays) {
    const [threshold, branches, feature] = [layer.threshold, layer.branches, layer.feature].map((k) => arrays[k].data);
    const leaves = arrays[layer.leaves], nOut = leaves.shape[1];
    const coefficient = "coefficient" in layer ? arrays[layer.coefficient].data : null;
    const start = coefficient ? arrays[layer.start].data : null;
    return ({data}) => {
      let node = threshold.length ? 0 : -1;
      while (node >= 0) {
        let total = data[feature[node]];
        if (coefficient) {
          total = Math.fround(data[feature[start[node]]] * coefficient[start[node]]);
          for (let k = start[node] + 1; k < start[node + 1]; k++)
            total = Math.fround(total + Math.fround(data[feature[k]] * coefficient[k]));
        }
        node = branches[2 * node + (total <= threshold[node] ? 0 : 1)];
      }
      return {shape: [nOut], data: leaves.data.slice((-1 - node) * nOut, -node * nOut)};
    };
  },
  gru(layer, arrays) {
    const weight = arrays[layer.weight], bias = arrays[layer.bias].data, n = bias.length / 4;
    const columns = weight.shape[1], nIn = columns - n;
    const sigmoid = (a) => 0.5 + 0.5 * Math.tanh(0.5 * a);
    return ({data}, before, after) => {
      const seen = new Float64Array(3 * n), kept = new Float64Array(3 * n);
      for (let row = 0; row < 3 * n; row++) {
        let x = bias[row], h = 0;
        for (let i = 0; i < nIn; i++) x += weight.data[row * columns + i] * data[i];
        for (let i = 0; i < n; i++) h += weight.data[row * columns + nIn + i] * before[i];
        seen[row] = x;
        kept[row] = h;
      }
      for (let k = 0; k < n; k++) {
        const r = sigmoid(seen[k] + kept[k]), z = sigmoid(seen[n + k] + kept[n + k]);
        const fresh = Math.tanh(seen[2 * n + k] + r * (kept[2 * n + k] + bias[3 * n + k]));
        after[k] = fresh + z * (before[k] - fresh);
      }
      return {shape: [n], data: Float32Array.from(after)};
    };
  },
  history(layer) {
    const gain = Math.fround(layer.gain), steps = layer.steps, nActions = layer.actions || 0, held = layer.held ? 1 : 0;
    return ({data}, before, after) => {
      const n = data.length, size = (steps - 1) * n, taken = before.subarray(size, before.length - held);
      const past = Float32Array.from({length: size}, (_, i) =>
        held && !(before[before.length - 1] > 0) ? data[i % n] : before[i]);
      const seen = Float32Array.from([...data, ...past]);
      const changes = Float32Array.from({length: size}, (_, i) => gain * Math.fround(seen[i] - seen[i + n]));
      after.set(seen.subarray(0, size));
      after.fill(0, size, size + Math.min(nActions, taken.length));
      after.set(taken.subarray(0, Math.max(0, taken.length - nActions)), size + nActions);
      if (held) after[after.length - 1] = 1;
      const y = Float32Array.from([...data, ...changes, ...taken]);
      return {shape: [y.length], data: y};
    };
  },
};

function channelsFirst({shape: [rows, columns, channels], data}) {
  const size = rows * columns, y = new data.constructor(data.length);
  for (let c = 0; c < channels; c++) for (let i = 0; i < size; i++) y[c * size + i] = data[i * channels + c];
  return {shape: [channels, rows, columns], data: y};
}

function argmax(values) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
  return best;
}

function makePolicy(said, encoded) {
  const arrays = decode(encoded), {head, action, memory} = said;
  const layers = said.layers.map((layer) => OPERATIONS[layer.op](layer, arrays));

  function featuresOf(part, obs) {
    const name = part.name, features = new Float32Array(part.size);
    if (part.one_hot) {
      arrays[`${name}.offsets`].data.forEach((offset, i) => { features[Number(obs[i]) + offset] = 1; });
      return features;
    }
    const mean = arrays[`${name}.mean`], scale = arrays[`${name}.scale`], factor = Math.fround(part.factor);
    for (let i = 0; i < part.size; i++) {
      let one = Number(obs[i]);
      if (mean) {
        one = (one - mean.data[i]) * scale.data[i];
        if (part.clip !== null) one = Math.min(Math.max(one, -part.clip), part.clip);
      }
      features[i] = Math.fround(one) * factor;
    }
    return features;
  }

  function seenOf(obs) {
    if (said.image) {
      const image = {shape: said.image_shape, data: Float32Array.from(obs[0], Number)};
      return said.channels_first ? image : channelsFirst(image);
    }
    const parts = said.parts.map((part, i) => featuresOf(part, obs[i]));
    const data = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
    parts.reduce((start, part) => (data.set(part, start), start + part.length), 0);
    return {shape: [data.length], data};
  }

  function outputsOf(obs, before, after) {
    let x = seenOf(obs), waiting = null;
    layers.forEach((layer, place) => {
      const n = said.layers[place].beside || 0, next = said.layers[place + 1];
      if (n && !waiting) {
        // The last numbers wait beside a run of layers.
        const all = x.data, end = all.length - n;
        waiting = all.subarray(end);
        x = {shape: [end], data: all.subarray(0, end)};
      }
      const ends = memory.parts[place];
      x = ends ? layer(x, before.subarray(...ends), after.subarray(...ends)) : layer(x);
      if (waiting && (!next || (next.beside || 0) !== n)) {
        const data = Float32Array.from([...x.data, ...waiting]);
        x = {shape: [data.length], data};
        waiting = null;
      }
    });
    return x.data;
  }

  /* What the action is chosen by: all logits, those of 0 included that are no outputs, or means. */
  function scoresOf(outputs) {
    const modes = outputs.subarray(0, head.n_modes);
    return head.reference ? Float32Array.from(head.places, (place) => (place ? modes[place - 1] : 0)) : modes;
  }

  function modeOf(scores) {
    if (head.kind === "threshold") return Array.from(scores, (one) => (one > 0 ? 1 : 0));
    if (head.kind !== "argmax") return Array.from(scores, head.kind === "tanh" ? Math.tanh : (one) => one);
    let start = 0;
    return head.sizes.map((size) => argmax(scores.subarray(start, (start += size))));
  }

  function executed(mode) {
    const starts = [action.start].flat(9), low = arrays["action.low"], high = arrays["action.high"];
    return mode.map((one, i) => {
      if (action.kind === "index") return one + (starts.length > 1 ? starts[i] : starts[0]);
      if (action.kind === "clip") return Math.min(Math.max(one, low.data[i]), high.data[i]);
      if (action.kind === "unsquash") return low.data[i] + 0.5 * (one + 1) * (high.data[i] - low.data[i]);
      return one;
    });
  }

  /* The numbers that an executed action is remembered by. */
  function takenOf(mode, done) {
    if (head.kind === "argmax")
      return head.sizes.flatMap((size, i) => Array.from({length: size}, (_, k) => (k === mode[i] ? 1 : 0)));
    const middle = arrays["taken.middle"].data, factor = arrays["taken.factor"].data;
    return done.map((one, i) => Math.fround(Math.fround(one) - middle[i]) * factor[i]);
  }

  return {
    begin: () => new Float32Array(memory.size),
    act(obs, before, mask = null) {
      const after = new Float32Array(memory.size), scores = scoresOf(outputsOf(obs, before, after));
      const mode = modeOf(mask ? scores.map((one, k) => (mask[k] ? one : -1e8)) : scores);
      const done = executed(mode);
      if (memory.awaited) after.set(takenOf(mode, done), memory.awaited[0]);
      return {action: done, scores, memory: after};
    },
  };
}
