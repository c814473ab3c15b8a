import { Quaternion } from "three";
import type { DanceFrame, Music } from "./protocol";

const KEPT_FRAMES = 120;
const LEAST_DELAY_S = 0.018;
const MOST_DELAY_S = 0.15;
const JUMP_S = 1;

export interface Moment {
  timeS: number;
  music: Music;
  root: Float32Array;
  rotations: Float32Array;
  contacts: Float32Array;
}

/**
 * Turns frames that arrive when the network likes into a pose for any instant.
 *
 * Media time is mapped to this machine's clock by the frames that came earliest; the pose shown lies
 * far enough behind that the next frame has arrived, as the measured jitter says.
 */
export class Timeline {
  private frames: DanceFrame[] = [];
  private offsetS = NaN; // media time minus local time of an undelayed frame
  private jitterS = 0;
  private readonly moment: Moment;

  constructor(joints: number) {
    this.moment = {
      timeS: 0,
      music: { beat: false, phase: 0, bpm: 0, confidence: 0, onset: 0, level: 0 },
      root: new Float32Array(3),
      rotations: new Float32Array(4 * joints),
      contacts: new Float32Array(4),
    };
  }

  /** Seconds between the arrival of an undelayed frame and its showing. */
  get delayS(): number {
    return Math.min(MOST_DELAY_S, LEAST_DELAY_S + 2.5 * this.jitterS);
  }

  add(frame: DanceFrame, nowS: number): void {
    const offset = frame.timeS - nowS;
    const lag = this.offsetS - offset;
    if (!(Math.abs(lag) < JUMP_S) || frame.timeS <= (this.frames.at(-1)?.timeS ?? -Infinity)) {
      this.frames = [];
      this.offsetS = offset;
      this.jitterS = 0;
    } else {
      this.offsetS -= lag * (lag < 0 ? 0.5 : 0.005);
      this.jitterS += (Math.abs(lag) - this.jitterS) * 0.03;
    }
    this.frames.push(frame);
    if (this.frames.length > KEPT_FRAMES) this.frames.shift();
  }

  /** The pose to show now, null before the first frame; the object is used again by the next call. */
  at(nowS: number): Moment | null {
    if (!this.frames.length) return null;
    const timeS = nowS + this.offsetS - this.delayS;
    let next = this.frames.length - 1;
    while (next > 0 && this.frames[next - 1].timeS > timeS) next--;
    const after = this.frames[next];
    const before = this.frames[Math.max(0, next - 1)];
    const span = after.timeS - before.timeS;
    const part = span > 0 ? Math.min(1, Math.max(0, (timeS - before.timeS) / span)) : 1;
    return this.blend(before, after, part);
  }

  private blend(before: DanceFrame, after: DanceFrame, part: number): Moment {
    const { moment } = this;
    const mix = (a: number, b: number) => a + (b - a) * part;
    moment.timeS = mix(before.timeS, after.timeS);
    for (let i = 0; i < 3; i++) moment.root[i] = mix(before.root[i], after.root[i]);
    for (let i = 0; i < 4; i++) moment.contacts[i] = mix(before.contacts[i], after.contacts[i]);
    for (let i = 0; i < moment.rotations.length; i += 4) {
      Quaternion.slerpFlat(
        moment.rotations as unknown as number[], i,
        before.rotations as unknown as number[], i,
        after.rotations as unknown as number[], i,
        part,
      );
    }
    const wrapped = after.music.phase < before.music.phase ? 1 : 0;
    Object.assign(moment.music, after.music);
    moment.music.phase = mix(before.music.phase, after.music.phase + wrapped) % 1;
    moment.music.level = mix(before.music.level, after.music.level);
    return moment;
  }
}
