import { LatheGeometry, Quaternion, SphereGeometry, Vector2, Vector3, type BufferGeometry } from "three";

const UP = new Vector3(0, 1, 0);
const CAP_STEPS = 8;
const SHAFT_STEPS = 14;

export interface LimbShape {
  from: number; // radius at the start, m
  to: number; // radius at the end, m
  bulge?: number; // what a muscle adds to the radius, m
  belly?: number; // where it is thickest, 0 to 1
  flat?: number; // thickness across the palm, as a part of the width
  depth?: number; // thickness front to back, as a part of the width
}

/** A rounded limb from the origin to `end`, thick where its muscle is. */
export function limb(end: Vector3, shape: LimbShape): BufferGeometry {
  const { from, to, bulge = 0, belly = 0.4, flat = 1, depth = 1 } = shape;
  const length = end.length();
  const profile: Vector2[] = [];
  for (let i = 0; i <= CAP_STEPS; i++) {
    const angle = (-Math.PI / 2) * (1 - i / CAP_STEPS);
    profile.push(new Vector2(Math.max(0, from * Math.cos(angle)), from * Math.sin(angle)));
  }
  const sharpness = Math.log(0.5) / Math.log(belly);
  for (let i = 1; i < SHAFT_STEPS; i++) {
    const t = i / SHAFT_STEPS;
    const muscle = bulge * Math.sin(Math.PI * t ** sharpness) ** 1.5;
    profile.push(new Vector2(from + (to - from) * t + muscle, length * t));
  }
  for (let i = 0; i <= CAP_STEPS; i++) {
    const angle = (Math.PI / 2) * (i / CAP_STEPS);
    profile.push(new Vector2(Math.max(0, to * Math.cos(angle)), length + to * Math.sin(angle)));
  }
  const geometry = new LatheGeometry(profile, 28);
  geometry.scale(flat, 1, depth);
  geometry.applyQuaternion(new Quaternion().setFromUnitVectors(UP, end.clone().normalize()));
  return geometry;
}

/** An ellipsoid whose upper half tapers by `taper`, as a rib cage or a head does. */
export function egg(radii: [number, number, number], centre: [number, number, number], taper = 0): BufferGeometry {
  const geometry = new SphereGeometry(1, 40, 28);
  const points = geometry.attributes.position;
  for (let i = 0; i < points.count; i++) {
    const width = 1 + taper * points.getY(i);
    points.setXYZ(i, points.getX(i) * width, points.getY(i), points.getZ(i) * width);
  }
  geometry.scale(...radii);
  geometry.computeVertexNormals();
  geometry.translate(...centre);
  return geometry;
}
