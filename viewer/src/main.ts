import "./style.css";
import { Connection } from "./connection";
import { Hud } from "./hud";
import { Mannequin } from "./mannequin";
import { decodeFrame, PROTOCOL_VERSION, type Hello, type Message } from "./protocol";
import { Stage } from "./stage";
import { Timeline, type Moment } from "./timeline";
import { TRAIL_S, TRAIL_STEP_S } from "./trail";

const options = new URLSearchParams(location.search);
const isOn = (name: string) => options.has(name) && options.get(name) !== "0";
if (isOn("transparent")) document.body.classList.add("transparent");

const plain = options.get("quality") === "low";
const stage = new Stage(document.getElementById("stage") as HTMLCanvasElement, { transparent: isOn("transparent"), plain });
const hud = new Hud((command, value) => {
  if (!connection.send(command, value)) hud.notice("Not connected", 2);
});
const setBare = (bare: boolean) => {
  document.body.classList.toggle("bare", bare);
  stage.leaveRoom(!bare && !isOn("transparent"));
};
setBare(options.get("ui") === "0");
let hello: Hello | null = null;
let timeline: Timeline | null = null;
let avatarShown = false;
const counts = { frames: 0, shown: 0, connections: 0, avatars: 0 };

function greet(message: Hello): void {
  if (message.version !== PROTOCOL_VERSION) {
    hud.notice("This page is of another version than the engine; load it again");
    return;
  }
  const sameBody = JSON.stringify(hello?.skeleton) === JSON.stringify(message.skeleton);
  hello = message;
  timeline = new Timeline(message.skeleton.joint_names.length);
  if (!sameBody && !avatarShown) stage.show(new Mannequin(message.skeleton, plain));
  hud.greet(message);
}

function receive(message: Message): void {
  if (message.type === "hello") greet(message);
  else if (message.type === "status") hud.report(message);
  else if (message.type === "error") hud.notice(message.message ?? "The command was refused", 4);
}

const connection = new Connection({
  opened() {
    counts.connections++;
    document.body.classList.add("live");
    hud.notice(null);
  },
  closed() {
    document.body.classList.remove("live");
    hud.notice("Waiting for the engine");
  },
  message: receive,
  frame(data) {
    const frame = hello && decodeFrame(data, hello.skeleton.joint_names.length);
    if (!frame || !timeline) return;
    counts.frames++;
    timeline.add(frame, performance.now() / 1000);
    hud.hear(frame);
  },
});

let tracedS = 0;
/** The moments at every step of the trails since the picture before; few pictures still leave round trails. */
function* wayTo(shownS: number, dance: Timeline): Generator<Moment> {
  tracedS = Math.max(tracedS, shownS - TRAIL_S);
  for (; tracedS + TRAIL_STEP_S <= shownS; tracedS += TRAIL_STEP_S) {
    const moment = dance.at(tracedS + TRAIL_STEP_S);
    if (moment) yield moment;
  }
}

let lastMs = performance.now();
let counted = { atMs: lastMs, frames: 0 };
function tick(nowMs: number): void {
  const elapsedS = Math.min(0.25, Math.max(0, (nowMs - lastMs) / 1000));
  lastMs = nowMs;
  const shownS = performance.now() / 1000;
  if (timeline) for (const between of wayTo(shownS, timeline)) stage.trace(between);
  const moment = timeline?.at(shownS) ?? null;
  stage.render(moment, elapsedS);
  if (moment) {
    counts.shown++;
    hud.draw(moment.music, elapsedS);
  }
  if (nowMs - counted.atMs >= 1000) {
    hud.streamRate((1000 * (counts.frames - counted.frames)) / (nowMs - counted.atMs));
    counted = { atMs: nowMs, frames: counts.frames };
  }
  requestAnimationFrame(tick);
}
requestAnimationFrame(tick);

async function changeDancer(file: File): Promise<void> {
  if (!hello) return;
  hud.notice(`Dressing ${file.name}`);
  try {
    const { loadAvatar } = await import("./avatar");
    stage.show(await loadAvatar(file, hello.skeleton));
    avatarShown = true;
    counts.avatars++;
    hud.notice(null);
  } catch (error) {
    hud.notice(`${file.name}: ${error instanceof Error ? error.message : "cannot be read"}`, 6);
  }
}

const drop = document.getElementById("drop") as HTMLElement;
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.hidden = true;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.hidden = true;
  const file = event.dataTransfer?.files[0];
  if (file) void changeDancer(file);
});

const keys: Record<string, () => void> = {
  f: () => void (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  h: () => setBare(!document.body.classList.contains("bare")),
  r: () => stage.frameCamera(),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return;
  keys[event.key.toLowerCase()]?.();
});

/** What has happened so far, for tests and for kiosk scripts. */
const viewer = { counts, hands: () => stage.hands() };
declare global {
  interface Window {
    bailandoViewer: typeof viewer;
  }
}
window.bailandoViewer = viewer;
