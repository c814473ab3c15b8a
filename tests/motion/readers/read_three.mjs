// Opens a motion file with the loaders of three.js and prints, as JSON, what they make of it:
//   node read_three.mjs FILE FRAMES [AVATAR.vrm]
// joint positions at every frame, the frame rate and, for .glb, the skinned vertices of the last frame.
import { readFileSync } from "node:fs";
import * as THREE from "three";
import { BVHLoader } from "three/examples/jsm/loaders/BVHLoader.js";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { VRMLoaderPlugin } from "@pixiv/three-vrm";
import { createVRMAnimationClip, VRMAnimationLoaderPlugin } from "@pixiv/three-vrm-animation";

globalThis.self = globalThis;

function parseGltf(path, plugin) {
  const loader = new GLTFLoader();
  if (plugin) loader.register(plugin);
  const bytes = readFileSync(path);
  const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return new Promise((resolve, reject) => loader.parse(content, "", resolve, reject));
}

async function open(path, avatar) {
  if (path.endsWith(".bvh")) {
    const { skeleton, clip } = new BVHLoader().parse(readFileSync(path, "utf8"));
    const bones = skeleton.bones.filter((bone) => bone.name !== "ENDSITE");
    return { scene: skeleton.bones[0], clip, joints: bones.map((bone) => [bone.name, bone]) };
  }
  if (path.endsWith(".vrma")) {
    const { vrm } = (await parseGltf(avatar, (parser) => new VRMLoaderPlugin(parser))).userData;
    const { vrmAnimations } = (await parseGltf(path, (parser) => new VRMAnimationLoaderPlugin(parser))).userData;
    const clip = createVRMAnimationClip(vrmAnimations[0], vrm);
    const bones = Object.entries(vrm.humanoid.rawHumanBones).map(([name, bone]) => [name, bone.node]);
    return { scene: vrm.scene, clip, joints: bones, update: () => vrm.update(0) };
  }
  const gltf = await parseGltf(path);
  const mesh = gltf.scene.getObjectByProperty("isSkinnedMesh", true);
  const joints = mesh.skeleton.bones.map((bone) => [bone.name, bone]);
  return { scene: gltf.scene, clip: gltf.animations[0], joints, mesh };
}

const [path, frames, avatar] = process.argv.slice(2);
const { scene, clip, joints, mesh, update } = await open(path, avatar);
const times = clip.tracks[0].times;
const mixer = new THREE.AnimationMixer(scene);
const action = mixer.clipAction(clip);
action.setLoop(THREE.LoopOnce);
action.clampWhenFinished = true;
action.play();
const positions = [];
for (let frame = 0; frame < Number(frames); frame++) {
  mixer.setTime(Math.min(frame / 60, clip.duration));
  update?.();
  scene.updateMatrixWorld(true);
  positions.push(joints.map(([, node]) => node.getWorldPosition(new THREE.Vector3()).toArray()));
}
const vertices = [];
for (let i = 0; mesh && i < mesh.geometry.attributes.position.count; i++) {
  vertices.push(mesh.getVertexPosition(i, new THREE.Vector3()).applyMatrix4(mesh.matrixWorld).toArray());
}
const fps = (times.length - 1) / (times[times.length - 1] - times[0]);
const names = joints.map(([name]) => name);
console.log(JSON.stringify({ names, fps, keys: times.length, positions, vertices }));
