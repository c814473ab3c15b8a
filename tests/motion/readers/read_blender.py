"""Opens a motion file in Blender and prints, as JSON, joint positions in our axes and the frame rate.

python read_blender.py FILE FRAMES   (needs the bpy package)
"""

import json
import sys

import bpy


def main(path: str, frames: int) -> None:
    """Import the file into an empty scene and evaluate its armature at every frame."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = 60
    if path.endswith(".bvh"):
        bpy.ops.import_anim.bvh(filepath=path, update_scene_fps=True, use_fps_scale=False, frame_start=1)
    elif path.endswith(".fbx"):
        bpy.ops.import_scene.fbx(filepath=path, anim_offset=0.0)
    else:
        bpy.ops.import_scene.gltf(filepath=path)
    armature = next(item for item in scene.objects if item.type == "ARMATURE")
    first, last = armature.animation_data.action.frame_range
    positions = []
    for frame in range(frames):
        scene.frame_set(round(first) + frame)
        heads = [armature.matrix_world @ bone.head for bone in armature.pose.bones]
        positions.append([[head.x, head.z, -head.y] for head in heads])  # Blender's up is Z
    names = [bone.name for bone in armature.pose.bones]
    fps = scene.render.fps / scene.render.fps_base
    keys = round(last - first) + 1
    meshes = [item.name for item in scene.objects if item.type == "MESH" and item.modifiers]
    sys.stdout.write(
        "\n"
        + json.dumps({"names": names, "fps": fps, "keys": keys, "positions": positions, "skinned": meshes})
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
