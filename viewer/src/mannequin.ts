import { Group, Mesh, MeshPhysicalMaterial, Vector3, type BufferGeometry, type Material } from "three";
import type { Figure } from "./figure";
import { BONE, GRAPHITE } from "./palette";
import type { Skeleton } from "./protocol";
import { egg, limb, type LimbShape } from "./shapes";
import type { Moment } from "./timeline";

const LEG_M = 0.8; // thigh and shin of the body that the radii below were drawn for

// Limbs by the name of the joint they start at; each ends at that joint's child.
const LIMBS: Record<string, LimbShape & { child: string }> = {
  hip: { child: "knee", from: 0.079, to: 0.053, bulge: 0.008, belly: 0.35 },
  knee: { child: "ankle", from: 0.05, to: 0.034, bulge: 0.014, belly: 0.32, depth: 1.06 },
  ankle: { child: "foot", from: 0.04, to: 0.037, depth: 1.05 },
  collar: { child: "shoulder", from: 0.05, to: 0.05, depth: 0.95 },
  shoulder: { child: "elbow", from: 0.047, to: 0.037, bulge: 0.006, belly: 0.4 },
  elbow: { child: "wrist", from: 0.038, to: 0.026, bulge: 0.008, belly: 0.3 },
  wrist: { child: "hand", from: 0.027, to: 0.036, flat: 0.55 },
};
const BALLS: Record<string, number> = { hip: 0.07, knee: 0.045, ankle: 0.031, shoulder: 0.045, elbow: 0.032, wrist: 0.023 };
// The dark middle of the body: joint, its child, radius at both, m.
const WAIST: [string, string, number, number][] = [
  ["pelvis", "spine1", 0.116, 0.106],
  ["spine1", "spine2", 0.106, 0.11],
  ["spine2", "spine3", 0.11, 0.118],
];
// How much of a limb's end is left to the dark ball of the joint, m.
const GAP_M = 0.022;

/** A jointed mannequin of bone-white limbs on graphite joints, made for the skeleton of the hello. */
export class Mannequin implements Figure {
  readonly object = new Group();
  private readonly joints: Group[];
  private readonly shell = new MeshPhysicalMaterial({
    color: BONE, roughness: 0.42, clearcoat: 0.35, clearcoatRoughness: 0.35, envMapIntensity: 0.9,
  });
  private readonly core = new MeshPhysicalMaterial({ color: GRAPHITE, roughness: 0.5, metalness: 0.35 });
  private readonly scale: number;

  constructor(private readonly skeleton: Skeleton, plain = false) {
    if (plain) this.shell.clearcoat = 0;
    this.joints = skeleton.joint_names.map(() => new Group());
    skeleton.offsets_m.forEach((offset, i) => {
      this.joints[i].position.set(...offset);
      (i ? this.joints[skeleton.parents[i]] : this.object).add(this.joints[i]);
    });
    const shin = this.offset("left_knee").length() + this.offset("left_ankle").length();
    this.scale = shin > 0 ? shin / LEG_M : 1;
    for (const side of ["left", "right"]) this.buildSide(side);
    this.buildTrunk();
  }

  pose({ root, rotations }: Moment): void {
    this.joints[0].position.fromArray(root);
    this.joints.forEach((joint, i) => joint.quaternion.fromArray(rotations, 4 * i));
    this.object.updateMatrixWorld(true);
  }

  hand(side: "left" | "right", target: Vector3): Vector3 {
    return this.joint(`${side}_wrist`).getWorldPosition(target);
  }

  foot(contact: number, target: Vector3): Vector3 {
    const name = ["left_ankle", "right_ankle", "left_foot", "right_foot"][contact];
    return this.joint(name).getWorldPosition(target);
  }

  dispose(): void {
    this.object.traverse((part) => part instanceof Mesh && part.geometry.dispose());
    this.shell.dispose();
    this.core.dispose();
  }

  private buildSide(side: string): void {
    for (const [name, shape] of Object.entries(LIMBS)) {
      const end = this.offset(`${side}_${shape.child}`);
      const ball = BALLS[name];
      if (end.lengthSq() === 0) continue;
      const gap = ball ? GAP_M * this.scale : 0;
      const start = end.clone().setLength(gap);
      const geometry = limb(end.clone().setLength(Math.max(0.01, end.length() - 2 * gap)), this.scaled(shape));
      this.add(`${side}_${name}`, geometry.translate(start.x, start.y, start.z), name === "collar" ? this.core : this.shell);
      if (ball) this.add(`${side}_${name}`, egg([ball, ball, ball], [0, 0, 0]), this.core);
    }
    const out = side === "left" ? 1 : -1;
    const s = this.scale;
    this.add(`${side}_foot`, limb(new Vector3(0, -0.006 * s, 0.062 * s), { from: 0.038 * s, to: 0.026 * s, flat: 1.15, depth: 0.75 }));
    this.add(`${side}_ankle`, egg([0.036, 0.036, 0.046], [0, -0.05, -0.018]));
    this.add(`${side}_hand`, limb(new Vector3(out * 0.075 * s, 0, 0), { from: 0.034 * s, to: 0.014 * s, flat: 0.45, depth: 0.95 }));
    const thumb = limb(new Vector3(out * 0.04 * s, -0.008 * s, 0.036 * s), { from: 0.015 * s, to: 0.009 * s });
    this.add(`${side}_wrist`, thumb.translate(out * 0.035 * s, -0.004 * s, 0.018 * s));
    this.add(`${side}_shoulder`, egg([0.055, 0.056, 0.056], [out * 0.006, 0.002, 0]));
  }

  private buildTrunk(): void {
    this.add("pelvis", egg([0.142, 0.088, 0.104], [0, -0.035, -0.004], -0.08));
    for (const [name, child, from, to] of WAIST) {
      const end = this.offset(child);
      if (end.lengthSq() > 0) this.add(name, limb(end, this.scaled({ from, to, depth: 0.78 })), this.core);
    }
    this.add("spine3", egg([0.158, 0.165, 0.112], [0, 0.035, 0.008], 0.1));
    this.add("spine3", egg([0.105, 0.06, 0.075], [0, 0.165, -0.01]), this.core);
    const neck = this.offset("head");
    if (neck.lengthSq() > 0) this.add("neck", limb(neck, this.scaled({ from: 0.049, to: 0.043 })), this.core);
    this.add("head", egg([0.077, 0.116, 0.094], [0, 0.09, 0.016], 0.08));
    // A dark visor tells the front from the back.
    this.add("head", egg([0.07, 0.026, 0.072], [0, 0.1, 0.042]), this.core);
  }

  private add(name: string, geometry: BufferGeometry, material: Material = this.shell): void {
    const index = this.skeleton.joint_names.indexOf(name);
    if (index < 0) return;
    const part = new Mesh(geometry, material);
    if (geometry.type === "SphereGeometry") part.scale.setScalar(this.scale);
    part.castShadow = part.receiveShadow = true;
    this.joints[index].add(part);
  }

  private joint(name: string): Group {
    return this.joints[Math.max(0, this.skeleton.joint_names.indexOf(name))];
  }

  private offset(name: string): Vector3 {
    const index = this.skeleton.joint_names.indexOf(name);
    return index < 0 ? new Vector3() : new Vector3(...this.skeleton.offsets_m[index]);
  }

  private scaled(shape: LimbShape): LimbShape {
    return { ...shape, from: shape.from * this.scale, to: shape.to * this.scale, bulge: (shape.bulge ?? 0) * this.scale };
  }
}
