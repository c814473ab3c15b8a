import {
  ACESFilmicToneMapping, BackSide, BoxGeometry, Color, DirectionalLight, HemisphereLight, Mesh, MeshBasicMaterial, PCFShadowMap,
  PerspectiveCamera, PlaneGeometry, PMREMGenerator, Scene, SpotLight, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import type { Figure } from "./figure";
import { Floor } from "./floor";
import { EMBER, NIGHT, STEEL } from "./palette";
import type { Moment } from "./timeline";
import { Trail } from "./trail";

const HOME = new Vector3(1.15, 1.5, 4.4);
const EYE_LEVEL_M = 0.92;
const FOLLOW_S = 0.9;
const PATH_HEIGHT_M = 0.006;

export interface StageOptions {
  transparent: boolean; // for a compositor behind the page
  plain: boolean; // for machines without a graphics card
}

/** The scene: light, floor, camera, the figure and what it leaves behind. */
export class Stage {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(32, 1, 0.1, 60);
  private readonly orbit: OrbitControls;
  private readonly floor: Floor;
  private readonly key = new SpotLight(0xfff0dd, 130, 14, 0.42, 0.85, 1.9);
  private readonly rim = new DirectionalLight(EMBER, 1.5);
  private readonly trails = { left: new Trail(EMBER, 0.05, 0.75), right: new Trail(STEEL, 0.05, 0.5) };
  private readonly path = new Trail(STEEL, 0.03, 0.3, true);
  private readonly centre = new Vector3(0, EYE_LEVEL_M, 0);
  private readonly place = new Vector3();
  private readonly mostPixels: number;
  private roomBelow = 0;
  private figure: Figure | null = null;

  constructor(private readonly canvas: HTMLCanvasElement, { transparent, plain }: StageOptions) {
    this.renderer = new WebGLRenderer({ canvas, antialias: !plain, alpha: true, powerPreference: "high-performance" });
    this.renderer.setClearColor(NIGHT, 0);
    this.renderer.toneMapping = ACESFilmicToneMapping;
    this.renderer.shadowMap.enabled = !plain;
    this.renderer.shadowMap.type = PCFShadowMap;
    if (plain) this.scene.add(new HemisphereLight(STEEL, NIGHT, 1.2));
    else this.scene.environment = studio(this.renderer);
    this.scene.environmentIntensity = 0.5;
    this.floor = new Floor(transparent);
    this.orbit = new OrbitControls(this.camera, canvas);
    this.light();
    this.scene.add(this.floor.object, this.trails.left.object, this.trails.right.object, this.path.object);
    this.mostPixels = plain ? 1 : 2;
    this.frameCamera();
    this.resize();
    addEventListener("resize", () => this.resize());
  }

  /** Puts another dancer on the stage in place of the present one. */
  show(figure: Figure): void {
    if (this.figure) {
      this.scene.remove(this.figure.object);
      this.figure.dispose();
    }
    this.figure = figure;
    this.scene.add(figure.object);
  }

  /** Puts the camera where it was at the start. */
  frameCamera(): void {
    this.orbit.target.copy(this.centre);
    this.camera.position.copy(this.centre).add(HOME).setY(HOME.y);
    this.orbit.update();
  }

  /** Where the left and the right hand are, metres. */
  hands(): number[][] {
    return (["left", "right"] as const).map((side) => this.figure?.hand(side, new Vector3()).toArray() ?? []);
  }

  /** Raises the dancer above the console, or lets the whole page be the stage. */
  leaveRoom(leave: boolean): void {
    this.roomBelow = leave ? 0.065 : 0;
    this.resize();
  }

  /** Lets the trails know a moment that was not drawn; one call for every step of theirs. */
  trace(moment: Moment): void {
    if (!this.figure) return;
    this.figure.pose(moment, 0);
    this.path.push(this.place.fromArray(moment.root).setY(PATH_HEIGHT_M));
    for (const side of ["left", "right"] as const) this.trails[side].push(this.figure.hand(side, this.place));
  }

  /** Shows a moment of the dance, null for an empty stage. */
  render(moment: Moment | null, elapsedS: number): void {
    if (moment && this.figure) {
      this.figure.pose(moment, elapsedS);
      this.follow(moment, elapsedS);
      this.dress(moment, elapsedS);
    }
    this.orbit.update();
    this.renderer.render(this.scene, this.camera);
  }

  private light(): void {
    const { key, rim } = this;
    key.castShadow = true;
    key.shadow.mapSize.set(2048, 2048);
    key.shadow.radius = 5;
    key.shadow.bias = -0.0008;
    key.shadow.normalBias = 0.03;
    key.shadow.camera.near = 2;
    key.shadow.camera.far = 12;
    const cool = new DirectionalLight(STEEL, 0.9);
    cool.position.set(4, 2.5, -4);
    rim.position.set(-4, 2.2, -4.5);
    this.scene.add(key, key.target, rim, cool);
    Object.assign(this.orbit, { enableDamping: true, dampingFactor: 0.06, minDistance: 1.2, maxDistance: 12, maxPolarAngle: 1.56 });
  }

  /** Lets light and camera go with the dancer, softly. */
  private follow(moment: Moment, elapsedS: number): void {
    const part = 1 - Math.exp(-elapsedS / FOLLOW_S);
    this.place.set(moment.root[0], EYE_LEVEL_M, moment.root[2]).sub(this.centre).multiplyScalar(part);
    if (this.place.lengthSq() > 4) this.place.setLength(2);
    this.centre.add(this.place);
    this.orbit.target.add(this.place);
    this.camera.position.add(this.place);
    this.key.position.set(this.centre.x + 1.6, 5.4, this.centre.z + 2.6);
    this.key.target.position.copy(this.centre);
  }

  private dress(moment: Moment, elapsedS: number): void {
    const figure = this.figure as Figure;
    const { phase, confidence, level } = moment.music;
    const beat = Math.min(1, 0.25 + confidence) * Math.min(1, 0.2 + 1.6 * level);
    this.rim.intensity = 1.3 + 2.2 * beat * (1 - phase) ** 3;
    this.place.fromArray(moment.root);
    this.floor.update(this.place, phase, beat);
    this.path.lead(this.place.setY(PATH_HEIGHT_M), this.camera.position);
    for (const side of ["left", "right"] as const) {
      this.trails[side].lead(figure.hand(side, this.place), this.camera.position);
    }
    for (let i = 0; i < moment.contacts.length; i++) {
      this.floor.touch(i, figure.foot(i, this.place), moment.contacts[i] > 0.5 ? moment.contacts[i] : 0, elapsedS);
    }
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, this.mostPixels));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / Math.max(1, height);
    // In a narrow window the dancer must not lose the hands.
    this.camera.fov = this.camera.aspect < 1 ? 46 : 32;
    this.camera.setViewOffset(width, height, 0, this.roomBelow * height, width, height);
  }
}

/** What the figure reflects: a dark room with a soft box overhead and two strips at the sides. */
function studio(renderer: WebGLRenderer) {
  const room = new Scene();
  const panel = (colour: number, power: number, size: [number, number], at: [number, number, number]) => {
    const light = new Mesh(new PlaneGeometry(...size), new MeshBasicMaterial({ color: new Color(colour).multiplyScalar(power), side: 2 }));
    light.position.set(...at);
    light.lookAt(0, 0, 0);
    room.add(light);
  };
  room.add(new Mesh(new BoxGeometry(20, 20, 20), new MeshBasicMaterial({ color: 0x15171c, side: BackSide })));
  panel(0xfff4e6, 9, [6, 4], [2, 7, 4]);
  panel(STEEL, 5, [2, 8], [8, 2, -3]);
  panel(EMBER, 4, [2, 8], [-8, 2, -4]);
  const generator = new PMREMGenerator(renderer);
  const { texture } = generator.fromScene(room, 0.03);
  generator.dispose();
  return texture;
}
