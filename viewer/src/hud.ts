import type { DanceFrame, Hello, Music, Status } from "./protocol";
import { Scope } from "./scope";

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

const SEEDS = 1_000_000;

export type Send = (command: string, value?: string | number) => void;

/** Readings and controls around the stage. */
export class Hud {
  private readonly scope = new Scope(element<HTMLCanvasElement>("waveform"), element<HTMLCanvasElement>("beat"));
  private readonly style = element<HTMLSelectElement>("style");
  private readonly energy = element<HTMLInputElement>("energy");
  private readonly level = element("level");
  private readonly levelPeak = element("level-peak");
  private peak = 0;
  private energyTimer = 0;
  private noticeTimer = 0;

  constructor(private readonly send: Send) {
    for (const command of ["start", "stop", "next"]) element(command).onclick = () => send(command);
    element("shuffle").onclick = () => send("seed", Math.floor(Math.random() * SEEDS));
    this.style.onchange = () => send("style", this.style.value);
    this.energy.oninput = () => this.energyMoved();
    element<HTMLFormElement>("controls").onsubmit = (event) => event.preventDefault();
  }

  greet({ title, styles }: Hello): void {
    element("title").textContent = title;
    this.style.replaceChildren(...styles.map((name) => new Option(name.replaceAll("_", " "), name)));
  }

  /** Shows what the engine says of itself; a control in use is left alone. */
  report(status: Status): void {
    const ms = (value?: number | null) => (value == null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} ms`);
    if (status.title) element("title").textContent = status.title;
    if (status.latency_ms) {
      element("latency").textContent = ms(status.latency_ms.p50);
      element("latency-tail").textContent = ms(status.latency_ms.p99);
    }
    if (status.late_frames != null) element("late").textContent = String(status.late_frames);
    if (status.style !== undefined && document.activeElement !== this.style) this.style.value = status.style;
    if (status.energy !== undefined && !this.energyTimer && document.activeElement !== this.energy) this.energy.valueAsNumber = status.energy;
    if (status.running !== undefined) document.body.classList.toggle("stopped", !status.running);
    const { waveform, waveform_s: seconds, waveform_end_s: endS } = status;
    if (waveform && seconds && endS !== undefined) this.scope.feed(waveform, seconds, endS);
  }

  streamRate(framesPerSecond: number): void {
    element("stream-fps").textContent = `${framesPerSecond.toFixed(0)} fps`;
  }

  /** Hears a frame as it arrives. */
  hear({ music, timeS }: DanceFrame): void {
    this.scope.hear(music, timeS);
  }

  /** Draws the music of the moment that is on stage. */
  draw(music: Music, elapsedS: number): void {
    this.peak = Math.max(music.level, this.peak - 0.35 * elapsedS);
    this.level.style.transform = `scaleX(${music.level})`;
    this.levelPeak.style.transform = `translateX(${(100 * (this.peak - 1)).toFixed(2)}%)`;
    const bpm = music.bpm > 0 ? String(Math.round(music.bpm)) : "–";
    const output = element("bpm");
    if (output.textContent !== bpm) output.textContent = bpm;
    this.scope.draw(music);
  }

  /** Says something in the middle of the stage: for some seconds, or until null clears it. */
  notice(text: string | null, seconds = 0): void {
    const line = element("notice");
    clearTimeout(this.noticeTimer);
    line.hidden = text === null;
    line.textContent = text;
    if (text !== null && seconds) this.noticeTimer = window.setTimeout(() => this.notice(null), 1000 * seconds);
  }

  private energyMoved(): void {
    // A dragged slider speaks ten times a second, and its last word always gets through.
    if (this.energyTimer) return;
    this.energyTimer = window.setTimeout(() => {
      this.energyTimer = 0;
      this.send("energy", this.energy.valueAsNumber);
    }, 100);
  }
}
