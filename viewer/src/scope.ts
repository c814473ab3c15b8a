import { EMBER, BONE } from "./palette";
import type { Music } from "./protocol";

const HISTORY_S = 6;
const SAMPLES = HISTORY_S * 60;
const css = (colour: number, alpha: number) =>
  `rgba(${colour >> 16}, ${(colour >> 8) & 255}, ${colour & 255}, ${alpha})`;

/** The music of the last seconds with its beats, and a dial of the present beat. */
export class Scope {
  private readonly levels = new Float32Array(SAMPLES);
  private readonly beats = new Uint8Array(SAMPLES);
  private peaks: Float32Array | null = null;
  private peaksS = 0;
  private peaksAgeS = 0;

  constructor(private readonly wave: HTMLCanvasElement, private readonly dial: HTMLCanvasElement) {}

  /** Takes peaks (0 to 1) of the newest `seconds` of sound; finer than the levels of the frames. */
  feed(peaks: number[], seconds: number): void {
    this.peaks = Float32Array.from(peaks);
    this.peaksS = seconds;
    this.peaksAgeS = 0;
  }

  /** Takes the music of one more frame. */
  hear(music: Music): void {
    this.levels.copyWithin(0, 1);
    this.beats.copyWithin(0, 1);
    this.levels[SAMPLES - 1] = music.level;
    this.beats[SAMPLES - 1] = music.beat ? 1 : 0;
  }

  draw(music: Music, elapsedS: number): void {
    this.peaksAgeS += elapsedS;
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
    this.beats.forEach((beat, i) => {
      if (beat) pen.fillRect(Math.round((i / SAMPLES) * width), 0, 1.5 * ratio, height);
    });
  }

  /** How loud it was at a place of the window, 0 (oldest) to 1 (now). */
  private loudness(t: number): number {
    const agoS = (1 - t) * HISTORY_S;
    const peaks = this.peaks;
    if (peaks && agoS >= this.peaksAgeS && agoS < this.peaksAgeS + this.peaksS) {
      const index = Math.floor((1 - (agoS - this.peaksAgeS) / this.peaksS) * peaks.length);
      return Math.min(1, peaks[Math.min(peaks.length - 1, index)]);
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
