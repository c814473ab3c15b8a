import { Color, Mesh, PlaneGeometry, ShaderMaterial, ShadowMaterial, Vector2, Vector4, Group, type Vector3 } from "three";
import { BONE, EMBER, FLOOR } from "./palette";

const CONTACTS = 4;

const vertexShader = /* glsl */ `
  varying vec2 place;
  void main() {
    vec4 world = modelMatrix * vec4(position, 1.0);
    place = world.xz;
    gl_Position = projectionMatrix * viewMatrix * world;
  }`;

// A pool of light that goes where the dancer goes, marks every metre as on a rehearsal stage, a ring
// that leaves the dancer on every beat, and a glow under each foot that stands.
const fragmentShader = /* glsl */ `
  varying vec2 place;
  uniform vec3 ground, line, accent;
  uniform vec2 dancer;
  uniform vec4 contacts[${CONTACTS}]; // x, z, strength
  uniform float phase, beat, solid;

  float marks(vec2 p, float width) {
    vec2 cell = abs(fract(p - 0.5) - 0.5);
    vec2 soft = fwidth(p);
    vec2 on = 1.0 - smoothstep(vec2(width), vec2(width) + soft * 1.5, cell);
    vec2 fade = clamp(0.35 / (soft * 12.0 + 0.2), 0.0, 1.0);
    on *= fade;
    float cross = max(on.x * step(cell.y, 0.05), on.y * step(cell.x, 0.05));
    return 0.06 * max(on.x, on.y) + 0.42 * cross;
  }

  void main() {
    float away = distance(place, dancer);
    float pool = exp(-away * away / 5.0);
    float alpha = solid * exp(-away * away / 11.0);
    float drawn = solid * (1.0 - smoothstep(4.0, 10.0, away));
    float radius = 0.35 + 1.7 * sqrt(phase);
    float thin = abs(away - radius);
    float ring = beat * (1.0 - phase) * (1.0 - phase) * exp(-thin * thin / 0.0006);
    float glow = 0.0;
    for (int i = 0; i < ${CONTACTS}; i++) {
      vec2 d = place - contacts[i].xy;
      glow += contacts[i].z * (0.75 * exp(-dot(d, d) / 0.006) + 0.2 * exp(-dot(d, d) / 0.05));
    }
    float light = 0.45 * ring + 0.9 * glow;
    float lines = marks(place, 0.0022) * (0.12 + 0.8 * pool) * exp(-away * 0.2) * drawn;
    vec3 colour = ground * (0.22 + 1.5 * pool) * alpha + line * lines + accent * light;
    gl_FragColor = vec4(colour, min(1.0, max(alpha, max(light, lines))));
    #include <tonemapping_fragment>
    #include <colorspace_fragment>
  }`;

export class Floor {
  readonly object = new Group();
  private readonly material: ShaderMaterial;
  private readonly strengths = new Float32Array(CONTACTS);

  constructor(transparent: boolean) {
    this.material = new ShaderMaterial({
      vertexShader,
      fragmentShader,
      transparent: true,
      depthWrite: false,
      premultipliedAlpha: true,
      uniforms: {
        ground: { value: new Color(FLOOR).multiplyScalar(2.2) },
        line: { value: new Color(BONE) },
        accent: { value: new Color(EMBER) },
        dancer: { value: new Vector2() },
        contacts: { value: Array.from({ length: CONTACTS }, () => new Vector4()) },
        phase: { value: 0 },
        beat: { value: 0 },
        solid: { value: transparent ? 0 : 1 },
      },
    });
    const plane = new Mesh(new PlaneGeometry(40, 40).rotateX(-Math.PI / 2), this.material);
    const shadow = new Mesh(new PlaneGeometry(16, 16).rotateX(-Math.PI / 2), new ShadowMaterial({ opacity: 0.62 }));
    shadow.position.y = 0.002;
    shadow.receiveShadow = true;
    plane.renderOrder = -2;
    shadow.renderOrder = -1;
    this.object.add(plane, shadow);
  }

  /** Moves the pool of light; beat says how much the ring may show. */
  update(dancer: Vector3, phase: number, beat: number): void {
    const { uniforms } = this.material;
    uniforms.dancer.value.set(dancer.x, dancer.z);
    uniforms.phase.value = phase;
    uniforms.beat.value = beat;
  }

  /** Lights the floor under a foot; the glow comes at once and goes slowly. */
  touch(contact: number, place: Vector3, strength: number, elapsedS: number): void {
    const fading = this.strengths[contact] * Math.exp(-elapsedS / 0.22);
    this.strengths[contact] = Math.max(strength, fading);
    const spot = this.material.uniforms.contacts.value[contact] as Vector4;
    if (strength >= fading) spot.set(place.x, place.z, strength, 0);
    else spot.z = fading;
  }
}
