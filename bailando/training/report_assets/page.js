"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const BONE = "#e8e1d5", HUSH = "#a39d93", EMBER = "#ff5a36", HAIR = "#e8e1d524";
const COLOURS = [EMBER, "#e8e1d5", "#6fb7c9", "#e0b35a", "#a58bd0", "#8bbf7a", "#d97aa0", "#8f9bb3"];
const byId = (id) => document.getElementById(id);
const element = (name, parent, text = "", className = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  parent.append(made);
  return made;
};

// --- numbers in base64: int16 millimetres ---
function millimetres(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Int16Array(bytes.buffer);
}
const JOINTS = content.parents.length;
const pose = (array, frame) => array.subarray(frame * JOINTS * 3, (frame + 1) * JOINTS * 3);

// --- a pen for skeletons: perspective, seen from yaw and pitch ---
function camera(canvas, { yaw, pitch, centre, reach }) {
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  const distance = reach * 5;
  const zoom = (Math.min(width * 1.3, height) * distance) / reach;
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const project = (x, y, z) => {
    const [dx, dy, dz] = [x - centre[0], y - centre[1], z - centre[2]];
    const side = dx * cy - dz * sy, ahead = dx * sy + dz * cy;
    const up = dy * cp - ahead * sp, depth = distance - (ahead * cp + dy * sp);
    const size = zoom / depth;
    return [width / 2 + side * size, height / 2 - up * size, size];
  };
  return { context, width, height, project };
}
function drawBones(view, joints, colourOf, thickness) {
  const points = [];
  for (let j = 0; j < JOINTS; j++) points.push(view.project(joints[3 * j], joints[3 * j + 1], joints[3 * j + 2]));
  const context = view.context;
  context.lineCap = "round";
  for (let j = 1; j < JOINTS; j++) {
    const [a, b] = [points[content.parents[j]], points[j]];
    context.strokeStyle = colourOf(j);
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(a[0], a[1]);
    context.lineTo(b[0], b[1]);
    context.stroke();
  }
  const head = points[15];
  context.fillStyle = colourOf(15);
  context.beginPath();
  context.arc(head[0], head[1] - 40 * head[2], Math.max(2, 85 * head[2]), 0, 7);
  context.fill();
}

// --- charts ---
const LAYOUT = {
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
  font: { color: HUSH, size: 11, family: "system-ui, sans-serif" },
  margin: { l: 48, r: 10, t: 8, b: 34 }, showlegend: true,
  legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 10 } },
  hovermode: "x unified", hoverlabel: { bgcolor: "#242932", bordercolor: HAIR, font: { color: BONE } },
};
const AXIS = { gridcolor: HAIR, zeroline: false, linecolor: HAIR, automargin: true };
const plot = (place, traces, layout) =>
  Plotly.newPlot(place, traces, { ...LAYOUT, ...layout }, { responsive: true, displaylogo: false, displayModeBar: false });

function curves() {
  for (const stage of content.stages) {
    const section = element("div", byId("curves"));
    element("h2", section, stage.title);
    element("p", section, stage.note, "note");
    const grid = element("div", section, "", "grid");
    grid.style.marginTop = "14px";
    for (const chart of stage.charts) {
      const panel = element("div", grid, "", "panel");
      element("h3", panel, chart.title);
      const hues = [...new Set(chart.lines.map((line) => line.hue))];
      const traces = chart.lines.map((line) => ({
        x: stage.steps, y: line.values, name: line.name, mode: stage.steps.length < 3 ? "markers" : "lines",
        connectgaps: false,
        line: { color: COLOURS[hues.indexOf(line.hue) % COLOURS.length], width: 1.8, dash: line.held_out ? "dot" : "solid" },
      }));
      plot(element("div", panel, "", "chart"), traces, {
        xaxis: { ...AXIS, title: { text: "step", standoff: 4 } },
        yaxis: { ...AXIS, type: chart.log ? "log" : "linear", rangemode: chart.log ? "normal" : "tozero",
          dtick: chart.log && chart.lines.length > 1 ? 1 : undefined, exponentformat: "power" },
        showlegend: chart.lines.length > 1,
        ...(chart.lines.length > 4 && { legend: { ...LAYOUT.legend, font: { size: 9 }, entrywidth: 62 } }),
      });
    }
  }
}

function tables() {
  byId("figures").hidden = !content.tables.length;
  for (const table of content.tables) {
    element("p", byId("tables"), table.title, "note");
    const made = element("table", element("div", byId("tables"), "", "scroll"));
    const head = element("tr", element("thead", made));
    element("th", head, "");
    for (const name of table.columns) element("th", head, name, name === "model" ? "model" : "");
    const body = element("tbody", made);
    for (const row of table.rows) {
      const line = element("tr", body);
      element("td", line, row.label.trim(), row.label.startsWith(" ") ? "inner" : "");
      row.cells.forEach((cell, number) =>
        element("td", line, cell, table.columns[number] === "model" ? "model" : ""));
    }
  }
}

function sizes() {
  if (!content.sizes.length) return;
  byId("sizes").hidden = false;
  const names = content.sizes.map((part) => part.name).reverse();
  const counts = content.sizes.map((part) => part.parameters).reverse();
  const texts = counts.map((count) => (count >= 1e6 ? `${(count / 1e6).toFixed(2)} M` : `${(count / 1e3).toFixed(1)} k`));
  plot(byId("size-chart"), [{
    type: "bar", orientation: "h", x: counts, y: names, text: texts, textposition: "auto", cliponaxis: false,
    marker: { color: EMBER }, textfont: { color: "#16110e" }, outsidetextfont: { color: BONE },
    hovertemplate: "%{x:,} parameters<extra></extra>",
  }], { showlegend: false, hovermode: "closest", margin: { l: 120, r: 60, t: 8, b: 52 },
    xaxis: { ...AXIS, title: { text: "parameters", standoff: 4 } }, yaxis: { ...AXIS } });
}

// --- the dance ---
function dance() {
  const { frames, fps, beats, accents, speed, audio } = content.dance;
  const joints = millimetres(content.dance.joints);
  byId("dance").hidden = false;
  const [canvas, play, slider, clock] = ["dancer", "play", "place", "clock"].map(byId);
  const look = { yaw: 0.5, pitch: 0.22 };
  const sound = audio ? new Audio(audio) : null;
  let frame = 0, playing = false, started = 0;
  slider.max = frames - 1;
  const times = speed.map((_, number) => number / fps);
  const spikes = (list, name, colour, low, high) => ({
    x: list.flatMap((beat) => [beat / fps, beat / fps, null]), y: list.flatMap(() => [low, high, null]),
    name, mode: "lines", line: { color: colour, width: 1.4 }, hoverinfo: "skip", yaxis: "y2",
  });
  const cursor = (at) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", line: { color: BONE, width: 1 } });
  plot(byId("beats"), [
    { x: times, y: speed, name: "mean joint speed, m/s", mode: "lines", line: { color: "#6fb7c9", width: 1.2 } },
    spikes(beats, "beats of the song", HUSH, 0.5, 1),
    spikes(accents, "beats of the dance", EMBER, 0, 0.5),
  ], {
    xaxis: { ...AXIS, title: { text: "seconds", standoff: 4 }, range: [0, Math.min(20, frames / fps)] },
    yaxis: { ...AXIS, fixedrange: true, rangemode: "tozero" },
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
    shapes: [cursor(0)], dragmode: "pan", hovermode: false, margin: { l: 48, r: 10, t: 30, b: 40 },
  });

  const floor = (view, root) => {
    const cell = 500, span = 6;
    const [x0, z0] = [Math.round(root[0] / cell) * cell, Math.round(root[2] / cell) * cell];
    view.context.strokeStyle = HAIR;
    view.context.lineWidth = 1;
    for (let k = -span; k <= span; k++) {
      for (const [ax, az, bx, bz] of [[k, -span, k, span], [-span, k, span, k]]) {
        const a = view.project(x0 + ax * cell, 0, z0 + az * cell);
        const b = view.project(x0 + bx * cell, 0, z0 + bz * cell);
        view.context.beginPath();
        view.context.moveTo(a[0], a[1]);
        view.context.lineTo(b[0], b[1]);
        view.context.stroke();
      }
    }
  };
  const draw = () => {
    const body = pose(joints, frame);
    const view = camera(canvas, { ...look, centre: [body[0], 880, body[2]], reach: 2250 });
    view.context.clearRect(0, 0, view.width, view.height);
    floor(view, body);
    const since = Math.min(...beats.filter((beat) => beat <= frame).slice(-1).map((beat) => frame - beat), 99);
    const glow = Math.max(0, 1 - since / 14);
    view.context.strokeStyle = `rgba(255,90,54,${0.15 + 0.85 * glow})`;
    view.context.lineWidth = 1.5 + 3 * glow;
    view.context.beginPath();
    for (let k = 0; k <= 48; k++) {
      const angle = (k / 48) * 2 * Math.PI;
      const [x, y] = view.project(body[0] + 520 * Math.cos(angle), 0, body[2] + 520 * Math.sin(angle));
      k ? view.context.lineTo(x, y) : view.context.moveTo(x, y);
    }
    view.context.stroke();
    drawBones(view, body, () => BONE, 6);
    slider.value = frame;
    clock.textContent = `${(frame / fps).toFixed(1)} s of ${(frames / fps).toFixed(1)} s`;
  };
  let moved = 0;
  const tick = (now) => {
    if (!playing) return;
    const place = sound ? sound.currentTime : (now - started) / 1000;
    frame = Math.min(frames - 1, Math.round(place * fps));
    draw();
    if (now - moved > 150) {
      moved = now;
      const left = Math.max(0, Math.floor(frame / fps / 20) * 20);
      Plotly.relayout("beats", { shapes: [cursor(frame / fps)], "xaxis.range": [left, left + Math.min(20, frames / fps)] });
    }
    frame >= frames - 1 ? stop() : requestAnimationFrame(tick);
  };
  const stop = () => { playing = false; play.textContent = "Play"; sound?.pause(); };
  const start = () => {
    if (frame >= frames - 1) frame = 0;
    playing = true;
    play.textContent = "Pause";
    started = performance.now() - (frame / fps) * 1000;
    if (sound) { sound.currentTime = frame / fps; sound.play().catch(stop); }
    requestAnimationFrame(tick);
  };
  play.onclick = () => (playing ? stop() : start());
  slider.oninput = () => {
    stop();
    frame = Number(slider.value);
    draw();
    Plotly.relayout("beats", { shapes: [cursor(frame / fps)] });
  };
  canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
  canvas.onpointermove = (event) => {
    if (!event.buttons) return;
    look.yaw -= event.movementX / 150;
    look.pitch = Math.max(-0.1, Math.min(1.4, look.pitch + event.movementY / 200));
    draw();
  };
  addEventListener("resize", draw);
  frame = Math.min(frames - 1, 2 * fps);
  draw();
}

// --- the wall of codes ---
function wall() {
  byId("wall").hidden = false;
  const show = (book) => {
    byId("codes").replaceChildren();
    for (const tab of byId("tabs").children) tab.setAttribute("aria-pressed", String(tab.textContent === book.title));
    const joints = millimetres(book.joints);
    const own = new Set(book.own_joints);
    book.codes.forEach((code, number) => {
      const figure = element("figure", byId("codes"));
      const canvas = element("canvas", figure);
      const caption = element("figcaption", figure);
      element("span", caption, `${code.code}`);
      element("span", caption, code.share === null ? "" : `${(100 * code.share).toFixed(1)} %`);
      const draw = (first, last) => {
        const view = camera(canvas, { yaw: 0.45, pitch: 0.12, centre: [0, book.centre, 0], reach: book.reach });
        view.context.clearRect(0, 0, view.width, view.height);
        const at = (frame) => pose(joints, number * book.frames + frame);
        if (first !== last) drawBones(view, at(first), (j) => (own.has(j) ? "#ff5a3666" : "#0000"), 1.6);
        drawBones(view, at(last), (j) => (own.has(j) ? BONE : "#e8e1d538"), 2.2);
      };
      draw(0, book.frames - 1);
      let timer = 0;
      figure.onpointerenter = () => {
        let frame = 0;
        timer = setInterval(() => draw(frame, (frame = (frame + 1) % book.frames)), 50);
      };
      figure.onpointerleave = () => { clearInterval(timer); draw(0, book.frames - 1); };
    });
  };
  for (const book of content.codebooks) {
    const tab = element("button", byId("tabs"), book.title);
    tab.type = "button";
    tab.onclick = () => show(book);
  }
  show(content.codebooks[0]);
}

byId("title").textContent = content.title;
byId("subtitle").textContent = content.subtitle;
if (content.dance) dance();
tables();
curves();
sizes();
if (content.codebooks.length) wall();
document.documentElement.dataset.ready = "true";
