"""Run by Blender's Python module, in a process of its own: a .glb of ours in, an .fbx out.

Blender is GPL software, which is why it is never imported by the package itself.
"""

from __future__ import annotations

import os
import sys


def convert(source: str, target: str, fps: float) -> None:
    """Read the skinned person with its animation and write both, a key each frame."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = round(fps), round(fps) / fps
    bpy.ops.import_scene.gltf(filepath=source)
    armature = next(item for item in scene.objects if item.type == "ARMATURE")
    first, last = armature.animation_data.action.frame_range
    scene.frame_start, scene.frame_end = round(first), round(last)
    bpy.ops.export_scene.fbx(
        filepath=target,
        object_types={"ARMATURE", "MESH"},
        add_leaf_bones=False,
        bake_anim=True,
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        bake_anim_step=1.0,
        bake_anim_simplify_factor=0.0,
    )


if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)  # the module's own clean-up can hang
