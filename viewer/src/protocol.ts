// What the engine sends and takes; docs/websocket.md is the reference.

export interface Skeleton {
  joint_names: string[];
  parents: number[];
  offsets_m: [number, number, number][];
}

export interface Hello {
  type: "hello";
  version: number;
  title: string;
  fps: number;
  styles: string[];
  skeleton: Skeleton;
}

export interface Status {
  type: "status";
  title?: string;
  bpm?: number | null;
  level?: number | null;
  fps?: number | null;
  late_frames?: number | null;
  latency_ms?: { p50: number | null; p99: number | null };
  style?: string;
  energy?: number;
  running?: boolean;
  waveform?: number[];
  waveform_s?: number;
  waveform_end_s?: number;
}

export interface Reply {
  type: "done" | "error";
  command: string | null;
  message?: string;
}

export type Message = Hello | Status | Reply;

export interface Music {
  beat: boolean;
  phase: number;
  bpm: number;
  confidence: number;
  onset: number;
  level: number;
}

export interface DanceFrame {
  number: number;
  timeS: number;
  music: Music;
  root: Float32Array;
  rotations: Float32Array;
  contacts: Float32Array;
}

export const PROTOCOL_VERSION = 1;
const MAGIC = 0x31464c42; // "BLF1"
const HEADER_BYTES = 40;
const FLAG_BEAT = 1;
const CONTACTS = 4;

/** Reads a binary message; null if it is no frame of a body with so many joints. */
export function decodeFrame(data: ArrayBuffer, joints: number): DanceFrame | null {
  const floats = 3 + 4 * joints + CONTACTS;
  if (data.byteLength !== HEADER_BYTES + 4 * floats) return null;
  const header = new DataView(data);
  if (header.getUint32(0, true) !== MAGIC) return null;
  // The body is little endian as every machine with a browser; it is viewed, not copied.
  const body = new Float32Array(data, HEADER_BYTES);
  return {
    number: header.getUint32(4, true),
    timeS: header.getFloat64(8, true),
    music: {
      beat: (header.getUint32(16, true) & FLAG_BEAT) !== 0,
      phase: header.getFloat32(20, true),
      bpm: header.getFloat32(24, true),
      confidence: header.getFloat32(28, true),
      onset: header.getFloat32(32, true),
      level: header.getFloat32(36, true),
    },
    root: body.subarray(0, 3),
    rotations: body.subarray(3, 3 + 4 * joints),
    contacts: body.subarray(3 + 4 * joints),
  };
}
