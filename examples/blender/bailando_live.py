"""Move an armature in Blender by the dance of ``bailando-live --osc 127.0.0.1:9000,axes=blender``.

Open it in Blender's text editor and press Run; press it again to stop. Blender 4.5, nothing to install.
"""

import socket
import struct

import bpy
from mathutils import Quaternion, Vector

PORT = 9000
INTERVAL_S = 1 / 60
ARMATURE = "bailando"
POSE = b"/bailando/pose\0\0"
NAMES = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
    *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hand", "right_hand"),
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
COUNT = len(NAMES)
TIP_M = 0.08


def read_pose(packet):
    """Return places (24 Vectors, metres) and local rotations (24 Quaternions) of a packet, or None."""
    start = packet.rfind(POSE)
    if start < 0:
        return None
    tags = start + len(POSE)
    at = tags + (packet.index(b"\0", tags) - tags) // 4 * 4 + 4 + 8  # frame number and time come first
    numbers = struct.unpack_from(f">{7 * COUNT}f", packet, at)
    places = [Vector(numbers[3 * joint : 3 * joint + 3]) for joint in range(COUNT)]
    turns = [numbers[3 * COUNT + 4 * joint :][:4] for joint in range(COUNT)]
    return places, [Quaternion((w, x, y, z)) for x, y, z, w in turns]


def make_armature(places, turns):
    """Make the armature in its T-pose; the lengths of its bones follow from any pose."""
    world, rest = [], []
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            world.append(turns[joint])
            rest.append(Vector((0, 0, 0)))
        else:
            world.append(world[parent] @ turns[joint])
            rest.append(rest[parent] + world[parent].inverted() @ (places[joint] - places[parent]))
    rig = bpy.data.objects.new(ARMATURE, bpy.data.armatures.new(ARMATURE))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for joint, parent in enumerate(PARENTS):
        bone = rig.data.edit_bones.new(NAMES[joint])
        bone.head = rest[joint]
        children = [child for child, above in enumerate(PARENTS) if above == joint]
        along = rest[joint] - rest[parent] if parent >= 0 else Vector((0, 0, 1))
        bone.tail = rest[children[-1]] if len(children) == 1 else rest[joint] + along.normalized() * TIP_M
        if parent >= 0:
            bone.parent = rig.data.edit_bones[NAMES[parent]]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def apply_pose(rig, places, turns):
    """Turn every bone by its local rotation, told in the axes of the armature, and move the pelvis."""
    for joint, name in enumerate(NAMES):
        bone = rig.pose.bones[name]
        axes = bone.bone.matrix_local.to_quaternion()
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = axes.inverted() @ turns[joint] @ axes
        if joint == 0:
            bone.location = axes.inverted() @ (places[0] - bone.bone.head_local)


def receive():
    """Take what has come since last time and show the newest pose; Blender calls it 60 times a second."""
    opened = bpy.app.driver_namespace.get(ARMATURE)
    if opened is None:
        return None
    pose = None
    try:
        while True:
            pose = read_pose(opened.recv(65536)) or pose
    except BlockingIOError:
        pass
    if pose is not None:
        apply_pose(bpy.data.objects.get(ARMATURE) or make_armature(*pose), *pose)
    return INTERVAL_S


def start(port=PORT):
    """Listen, or stop if it listens already."""
    running = bpy.app.driver_namespace.pop(ARMATURE, None)
    if running is not None:
        running.close()
        if bpy.app.timers.is_registered(receive):
            bpy.app.timers.unregister(receive)
        return
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.bind(("127.0.0.1", port))
    bpy.app.driver_namespace[ARMATURE] = opened
    bpy.app.timers.register(receive)


if __name__ == "__main__":
    start()
