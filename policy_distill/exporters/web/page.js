/* The page: what is observed, what the policy answers, and the environment, drawn in a canvas. Every action that is
   shown was computed here and now, from the observation beside it. */
"use strict";

(function () {
  const data = JSON.parse(document.getElementById("policy").textContent);
  const policy = makePolicy(data.description, data.arrays), scene = data.scene;
  const canvas = document.getElementById("canvas"), pen = canvas.getContext("2d"), root = document.documentElement;
  const MOST_BARS = 40, PICTURE = 256;
  let memory = policy.begin(), playing = true, last = 0, owed = 0;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const say = (id, text) => { document.getElementById(id).textContent = text; };

  function bars(id, names) {
    const box = document.getElementById(id);
    if (names.length > PICTURE) {
      box.textContent = `${names.length.toLocaleString("en")} numbers, too many to show`;
      return () => {};
    }
    if (names.length > MOST_BARS)
      box.appendChild(document.createElement("p")).textContent = `the first ${MOST_BARS} of ${names.length}`;
    const rows = names.slice(0, MOST_BARS).map((name) => {
      const row = box.appendChild(document.createElement("div"));
      row.className = "row";
      const [label, track, value] = ["span", "i", "b"].map((tag) => row.appendChild(document.createElement(tag)));
      label.textContent = name;
      return {row, fill: track.appendChild(document.createElement("u")), value};
    });
    const largest = new Array(rows.length).fill(1);
    return (values, chosen = []) => rows.forEach(({row, fill, value}, i) => {
      const one = Number(values[i]);
      largest[i] = Math.max(largest[i], Math.abs(one) || 0);
      const share = (50 * one) / largest[i];
      fill.style.left = `${50 + Math.min(share, 0)}%`;
      fill.style.width = `${Math.abs(share) || 0}%`;
      value.textContent = Number.isInteger(one) ? String(one) : one.toFixed(3);
      row.classList.toggle("chosen", chosen.includes(i));
    });
  }

  const numbered = (n, word) => Array.from({length: n}, (_, i) => `${word} ${i}`);
  const nSeen = data.description.parts.reduce((n, part) => n + part.raw_size, 0);
  const {head, action: map} = data.description;
  const seenNames = data.names.length === nSeen ? data.names : numbered(nSeen, "number");
  const showSeen = bars("seen", seenNames);
  const nScores = head.kind === "argmax" ? head.sizes.reduce((a, b) => a + b, 0) : head.n_modes;
  const showScores = bars("scores", data.action_names.length === nScores ? data.action_names :
    numbered(nScores, map.kind === "index" ? "option" : "mean"));

  function act(obs, mask) {
    const found = policy.act(obs, memory, mask);
    memory = found.memory;
    let start = 0;
    const chosen = head.kind === "argmax" ? head.sizes.map((size) =>
      (start += size) - size + argmax(found.scores.subarray(start - size, start).map((one, k) =>
        (mask && !mask[start - size + k] ? -1e8 : one)))) : [];
    showSeen(obs.flatMap((part) => Array.from(part.slice(0, MOST_BARS), Number)));
    showScores(found.scores, chosen);
    say("action", found.action.map((one) => (map.kind === "index" ? one : one.toFixed(4))).join(", "));
    return found.action;
  }

  function liveCartPole() {
    let state = CARTPOLE.reset(), steps = 0, episodes = 0, best = 0;
    function begin() {
      state = CARTPOLE.reset();
      steps = 0;
      memory = policy.begin();
    }
    function step() {
      const whole = Float32Array.from(state);
      const [action] = act([data.columns ? data.columns.map((column) => whole[column]) : whole]);
      state = CARTPOLE.step(state, action);
      steps += 1;
      best = Math.max(best, steps);
      root.dataset.steps = Number(root.dataset.steps || 0) + 1;
      if (CARTPOLE.fell(state) || steps >= scene.limit) {
        root.dataset.last = steps;
        root.dataset.episodes = episodes += 1;
        begin();
      }
      say("told", `step ${steps} of ${scene.limit} · episode ${episodes + 1} · longest ${best} steps`);
    }
    function draw() {
      const [width, height] = [canvas.width, canvas.height], unit = width / 4.8, ground = height * 0.72;
      const x = width / 2 + state[0] * unit;
      pen.clearRect(0, 0, width, height);
      pen.fillStyle = colour("--line");
      pen.fillRect(0, ground, width, 3);
      pen.fillStyle = colour("--text");
      pen.fillRect(x - 0.25 * unit, ground - 0.15 * unit, 0.5 * unit, 0.3 * unit);
      pen.save();
      pen.translate(x, ground - 0.1 * unit);
      pen.rotate(state[2]);
      pen.fillStyle = "#c9822f";
      pen.fillRect(-0.05 * unit, -1.0 * unit, 0.1 * unit, 1.0 * unit);
      pen.restore();
    }
    document.getElementById("push").hidden = false;
    document.getElementById("push").onclick = () => { state[1] += Math.random() < 0.5 ? -1 : 1; };
    return {step, draw, begin, perSecond: 50};
  }

  function recorded() {
    const frames = scene.frames.map((bytes) => Object.assign(new Image(), {src: `data:image/png;base64,${bytes}`}));
    const parts = Object.values(decode(scene.obs)), actions = decode({actions: scene.actions}).actions;
    const nActions = actions.data.length / scene.steps, masks = scene.masks && decode({masks: scene.masks}).masks.data;
    let place = 0, equal = 0, tried = 0, largest = 0, shown = 0;
    function begin() {
      place = 0;
      memory = policy.begin();
    }
    function step() {
      const found = act(parts.map(({data: all}) => {
        const size = all.length / scene.steps;
        return all.subarray(place * size, (place + 1) * size);
      }), masks && masks.subarray(place * nScores, (place + 1) * nScores));
      const apart = Math.max(...found.map((one, i) => Math.abs(one - actions.data[place * nActions + i])));
      if (tried < scene.steps) {
        tried += 1;
        largest = Math.max(largest, apart);
        equal += apart <= scene.tolerance ? 1 : 0;
        root.dataset.equal = equal;
        root.dataset.steps = tried;
      }
      shown = place;
      place += 1;
      if (place === scene.steps) begin();
      say("told", `step ${shown + 1} of ${scene.steps} · return ${scene.episode_return.toFixed(1)} · actions computed here ` +
        `that are the recorded ones: ${equal} of ${tried}` + (map.kind === "index" ? "" :
          ` (largest difference ${largest.toExponential(1)})`));
    }
    function draw() {
      const frame = frames[Math.min(frames.length - 1, Math.floor(shown / scene.every))];
      if (!frame || !frame.complete || !frame.naturalWidth) return;
      canvas.height = Math.round((canvas.width * frame.naturalHeight) / frame.naturalWidth);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(frame, 0, 0, canvas.width, canvas.height);
    }
    return {step, draw, begin, perSecond: 30};
  }

  /* Without an environment: numbers that the reader moves, and what the policy answers. */
  function byHand() {
    const sizes = data.description.parts.map((part) => part.raw_size), values = new Array(nSeen).fill(0);
    const box = document.getElementById("hand");
    canvas.hidden = document.getElementById("controls").hidden = true;
    if (nSeen <= MOST_BARS) values.forEach((_, i) => {
      const label = box.appendChild(document.createElement("label")), input = document.createElement("input");
      const [low, high] = data.ranges[i], whole = data.whole;
      Object.assign(input, {type: "range", min: low, max: high, step: whole ? 1 : (high - low) / 200});
      input.value = values[i] = whole ? low : (low + high) / 2;
      label.append(seenNames[i], input);
      input.oninput = () => { values[i] = Number(input.value); answer(); };
    });
    function answer() {
      memory = policy.begin();
      let start = 0;
      act(sizes.map((size) => values.slice(start, (start += size))));
      root.dataset.steps = Number(root.dataset.steps || 0) + 1;
    }
    say("told", nSeen <= MOST_BARS ? "Move the numbers: the policy answers." : "An observation of zeros.");
    answer();
    return null;
  }

  const world = {cartpole: liveCartPole, recorded, hand: byHand}[scene.kind]();
  if (!world) return;
  document.getElementById("pause").onclick = (event) => {
    playing = !playing;
    event.target.textContent = playing ? "pause" : "play";
  };
  document.getElementById("again").onclick = world.begin;
  function frame(now) {
    if (playing) {
      owed = Math.min(owed + ((now - last) * world.perSecond) / 1000, 5);
      while (owed >= 1) {
        world.step();
        owed -= 1;
      }
    }
    last = now;
    world.draw();
    requestAnimationFrame(frame);
  }
  // page.html#500 begins after so many steps.
  for (let n = Math.max(1, Math.min(Number(location.hash.slice(1)) || 1, 100000)); n > 0; n--) world.step();
  requestAnimationFrame(frame);
})();
