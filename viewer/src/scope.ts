import { EMBER, BONE } from "./palette";
import type { Music } from "./protocol";

const HISTORY_S = 6;
// The picture ends a little before now, since the outline of the sound comes a few times a second.
const LAG_S = 0.3;
const FRAME_RATE = 60;
const SAMPLES = HISTORY_S * FRAME_RATE;
const LAG = LAG_S * FRAME_RATE;
const css = (colour: number, alpha: number) =>
  `rgba(${colour >> 16}, ${(colour >> 8) & 255}, ${colour & 255}, ${alpha})`;

/** The music of the last seconds with its beats, and a dial of the present beat. */
export class Scope {
  private readonly levels = new Float32Array(SAMPLES + LAG);
  private readonly beats = new Uint8Array(SAMPLES + LAG);
  private peaks: Float32Array | null = null;
  private peaksS = 0;
  private peaksEndS = 0;
  private nowS = 0; // media time of the newest frame

  constructor(private readonly wave: HTMLCanvasElement, private readonly dial: HTMLCanvasElement) {}

  /** Takes peaks (0 to 1) of `seconds` of sound up to a media time; they are drawn rather than the levels. */
  feed(peaks: number[], seconds: number, endS: number): void {
    this.peaks = Float32Array.from(peaks);
    this.peaksS = seconds;
    this.peaksEndS = endS;
  }

  /** Takes the music of one more frame. */
  hear(music: Music, timeS: number): void {
    this.nowS = timeS;
    this.levels.copyWithin(0, 1);
    this.beats.copyWithin(0, 1);
    this.levels[this.levels.length - 1] = music.level;
    this.beats[this.beats.length - 1] = music.beat ? 1 : 0;
  }

  draw(music: Music): void {
    this.drawWave();
    this.drawDial(music);
  }

  private drawWave(): void {
    const { wave } = this;
    const ratio = Math.min(devicePixelRatio, 2);
    const width = Math.round(wave.clientWidth * ratio);
    const height = Math.round(wave.clientHeight * ratio);
    if (wave.width !== width || wave.height !== height) Object.assign(wave, { width, height });
    const pen = wave.getContext("2d") as CanvasRenderingContext2D;
    pen.clearRect(0, 0, width, height);
    const bar = 4 * ratio;
    const bars = Math.floor(width / bar);
    for (let i = 0; i < bars; i++) {
      const t = (i + 0.5) / bars;
      const tall = Math.max(ratio, this.loudness(t) * height * 0.94);
      pen.fillStyle = css(BONE, 0.14 + 0.66 * t * t);
      pen.fillRect(i * bar, (height - tall) / 2, bar * 0.5, tall);
    }
    pen.fillStyle = css(EMBER, 0.95);
    this.beats.subarray(0, SAMPLES).forEach((beat, i) => {
      if (beat) pen.fillRect(Math.round((i / SAMPLES) * width), 0, 1.5 * ratio, height);
    });
  }

  /** How loud it was at a place of the window, 0 (oldest) to 1 (now). */
  private loudness(t: number): number {
    const sinceStartS = this.nowS - LAG_S - (1 - t) * HISTORY_S - (this.peaksEndS - this.peaksS);
    if (this.peaks && sinceStartS >= 0 && sinceStartS < this.peaksS) {
      return Math.min(1, this.peaks[Math.floor((sinceStartS / this.peaksS) * this.peaks.length)]);
    }
    return this.levels[Math.min(SAMPLES - 1, Math.floor(t * SAMPLES))];
  }

  private drawDial({ phase, confidence }: Music): void {
    const { dial } = this;
    const pen = dial.getContext("2d") as CanvasRenderingContext2D;
    const middle = dial.width / 2;
    const flash = (1 - phase) ** 3;
    pen.clearRect(0, 0, dial.width, dial.height);
    pen.lineWidth = 5;
    pen.strokeStyle = css(BONE, 0.16);
    pen.beginPath();
    pen.arc(middle, middle, middle - 8, 0, 2 * Math.PI);
    pen.stroke();
    pen.strokeStyle = css(EMBER, 0.35 + 0.65 * confidence);
    pen.beginPath();
    pen.arc(middle, middle, middle - 8, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * phase);
    pen.stroke();
    pen.fillStyle = css(EMBER, 0.12 + 0.88 * flash);
    pen.beginPath();
    pen.arc(middle, middle, 14 + 20 * flash, 0, 2 * Math.PI);
    pen.fill();
  }
}
