import type { Object3D, Vector3 } from "three";
import type { Moment } from "./timeline";

/** Whoever dances: the mannequin or the user's avatar. */
export interface Figure {
  readonly object: Object3D;
  pose(moment: Moment, elapsedS: number): void;
  /** Writes where a hand is, in the world. */
  hand(side: "left" | "right", target: Vector3): Vector3;
  /** Writes where a foot joint is: left ankle, right ankle, left toes, right toes. */
  foot(contact: number, target: Vector3): Vector3;
  dispose(): void;
}
