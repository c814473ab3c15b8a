import { AdditiveBlending, BufferAttribute, BufferGeometry, Color, DoubleSide, Mesh, ShaderMaterial, Vector3 } from "three";

const POINTS = 80;
export const TRAIL_STEP_S = 1 / 60;
export const TRAIL_S = POINTS * TRAIL_STEP_S;

const vertexShader = /* glsl */ `
  attribute float age;
  varying float fade;
  void main() {
    fade = 1.0 - age;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }`;
const fragmentShader = /* glsl */ `
  varying float fade;
  uniform vec3 colour;
  uniform float strength;
  void main() {
    gl_FragColor = vec4(colour, strength * fade * fade);
    #include <tonemapping_fragment>
    #include <colorspace_fragment>
  }`;

/** A ribbon along the last second and a third of a point's way. */
export class Trail {
  readonly object: Mesh<BufferGeometry, ShaderMaterial>;
  private readonly points = Array.from({ length: POINTS }, () => new Vector3());
  private readonly corners = new Float32Array(POINTS * 6);
  private started = false;

  constructor(colour: number, private readonly widthM: number, strength: number, private readonly flat = false) {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(this.corners, 3));
    const age = Float32Array.from({ length: POINTS * 2 }, (_, i) => (i >> 1) / (POINTS - 1));
    geometry.setAttribute("age", new BufferAttribute(age, 1));
    const strip = Array.from({ length: POINTS - 1 }, (_, i) => [2 * i, 2 * i + 1, 2 * i + 2, 2 * i + 1, 2 * i + 3, 2 * i + 2]);
    geometry.setIndex(strip.flat());
    const material = new ShaderMaterial({
      vertexShader, fragmentShader, transparent: true, depthWrite: false, side: DoubleSide, blending: AdditiveBlending,
      uniforms: { colour: { value: new Color(colour) }, strength: { value: strength } },
    });
    this.object = new Mesh(geometry, material);
    this.object.frustumCulled = false;
  }

  /** Adds where the point was one step after the last call. */
  push(place: Vector3): void {
    if (!this.started || place.distanceTo(this.points[0]) > 1) this.points.forEach((point) => point.copy(place));
    this.started = true;
    const oldest = this.points.pop() as Vector3;
    this.points.unshift(oldest.copy(place));
  }

  /** Draws the way up to where the point is now, seen from `eye`. */
  lead(now: Vector3, eye: Vector3): void {
    this.points[0].copy(now);
    this.draw(eye);
  }

  private draw(eye: Vector3): void {
    const along = new Vector3();
    const side = new Vector3();
    this.points.forEach((point, i) => {
      along.subVectors(this.points[Math.max(0, i - 1)], this.points[Math.min(POINTS - 1, i + 1)]);
      if (this.flat) side.set(along.z, 0, -along.x);
      else side.subVectors(eye, point).cross(along);
      side.setLength(0.5 * this.widthM * (1 - i / POINTS));
      if (!Number.isFinite(side.x)) side.set(0, 0, 0);
      this.corners.set([point.x + side.x, point.y + side.y, point.z + side.z], 6 * i);
      this.corners.set([point.x - side.x, point.y - side.y, point.z - side.z], 6 * i + 3);
    });
    this.object.geometry.attributes.position.needsUpdate = true;
  }
}
