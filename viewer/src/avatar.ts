import { Object3D, Vector3 } from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { VRMLoaderPlugin, VRMUtils, type VRM, type VRMHumanBoneName } from "@pixiv/three-vrm";
import type { Figure } from "./figure";
import type { Skeleton } from "./protocol";
import type { Moment } from "./timeline";

// SMPL joints that a VRM humanoid has, by name; the two hand joints have no counterpart.
const BONES: Record<string, VRMHumanBoneName> = {
  pelvis: "hips", spine1: "spine", spine2: "chest", spine3: "upperChest", neck: "neck", head: "head",
  left_hip: "leftUpperLeg", left_knee: "leftLowerLeg", left_ankle: "leftFoot", left_foot: "leftToes",
  right_hip: "rightUpperLeg", right_knee: "rightLowerLeg", right_ankle: "rightFoot", right_foot: "rightToes",
  left_collar: "leftShoulder", left_shoulder: "leftUpperArm", left_elbow: "leftLowerArm", left_wrist: "leftHand",
  right_collar: "rightShoulder", right_shoulder: "rightUpperArm", right_elbow: "rightLowerArm", right_wrist: "rightHand",
} as Record<string, VRMHumanBoneName>;
const SOLE_M = 0.02; // from the toe joint of the dance's body to the floor

/** Reads a .vrm file, version 0 or 1; throws an Error that says what is wrong with it. */
export async function loadAvatar(file: Blob, skeleton: Skeleton): Promise<Avatar> {
  const loader = new GLTFLoader();
  loader.register((parser) => new VRMLoaderPlugin(parser));
  const gltf = await loader.parseAsync(await file.arrayBuffer(), "");
  const vrm = gltf.userData.vrm as VRM | undefined;
  if (!vrm) throw new Error("this file holds no VRM avatar");
  VRMUtils.removeUnnecessaryVertices(gltf.scene);
  VRMUtils.combineSkeletons(gltf.scene);
  VRMUtils.rotateVRM0(vrm);
  return new Avatar(vrm, skeleton);
}

/** The user's avatar, moved by its normalised humanoid bones. */
export class Avatar implements Figure {
  readonly object: Object3D;
  private readonly bones: (Object3D | null)[];
  private readonly scale: number;
  // Avatars of version 0 look along -Z inside a scene that is turned round.
  private readonly flip: 1 | -1;

  constructor(private readonly vrm: VRM, skeleton: Skeleton) {
    this.object = vrm.scene;
    this.flip = vrm.meta.metaVersion === "0" ? -1 : 1;
    this.bones = skeleton.joint_names.map((name) => (BONES[name] ? vrm.humanoid.getNormalizedBoneNode(BONES[name]) : null));
    const hips = vrm.humanoid.normalizedRestPose.hips?.position?.[1] ?? 1;
    this.scale = hips / restHipHeight(skeleton);
    vrm.scene.traverse((part) => {
      part.castShadow = true;
      part.frustumCulled = false;
    });
  }

  pose({ root, rotations }: Moment, elapsedS: number): void {
    const { flip, scale } = this;
    this.bones.forEach((bone, i) => {
      bone?.quaternion.set(flip * rotations[4 * i], rotations[4 * i + 1], flip * rotations[4 * i + 2], rotations[4 * i + 3]);
    });
    this.bones[0]?.position.set(flip * scale * root[0], scale * root[1], flip * scale * root[2]);
    this.vrm.update(elapsedS);
    this.object.updateMatrixWorld(true);
  }

  hand(side: "left" | "right", target: Vector3): Vector3 {
    return this.where(side === "left" ? "leftHand" : "rightHand", target);
  }

  foot(contact: number, target: Vector3): Vector3 {
    const side = contact % 2 ? "right" : "left";
    const toes = `${side}Toes` as VRMHumanBoneName;
    const has = contact > 1 && this.vrm.humanoid.getNormalizedBoneNode(toes);
    return this.where(has ? toes : (`${side}Foot` as VRMHumanBoneName), target);
  }

  dispose(): void {
    VRMUtils.deepDispose(this.vrm.scene);
  }

  private where(bone: VRMHumanBoneName, target: Vector3): Vector3 {
    return (this.vrm.humanoid.getNormalizedBoneNode(bone) ?? this.object).getWorldPosition(target);
  }
}

function restHipHeight({ joint_names, parents, offsets_m }: Skeleton): number {
  let height = 0;
  for (let i = joint_names.indexOf("left_foot"); i > 0; i = parents[i]) height -= offsets_m[i][1];
  return height > 0 ? height + SOLE_M : 1;
}
