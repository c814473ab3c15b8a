# Moves a humanoid Skeleton3D by the dance of: bailando-live --osc 127.0.0.1:9000
# Godot 4: put this script on a Node3D above the character and choose its skeleton.
extends Node3D

@export var port: int = 9000
@export var skeleton: Skeleton3D

const JOINTS := 24
const POSE := "/bailando/pose"
const PELVIS_HEIGHT := 0.965
const PARENTS: Array[int] = [
	-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21
]
# Names of SkeletonProfileHumanoid, which the importer gives with Retarget.
const BONES: Array[String] = [
	"Hips", "LeftUpperLeg", "RightUpperLeg", "Spine", "LeftLowerLeg", "RightLowerLeg", "Chest",
	"LeftFoot", "RightFoot", "UpperChest", "LeftToes", "RightToes", "Neck", "LeftShoulder",
	"RightShoulder", "Head", "LeftUpperArm", "RightUpperArm", "LeftLowerArm", "RightLowerArm",
	"LeftHand", "RightHand"
]

var _socket := PacketPeerUDP.new()
var _joint_of_bone := {}
var _values := PackedFloat32Array()


func _ready() -> void:
	if _socket.bind(port) != OK:
		push_error("bailando: port %d is taken" % port)
	for joint in BONES.size():
		var bone := skeleton.find_bone(BONES[joint])
		if bone >= 0:
			_joint_of_bone[bone] = joint


func _process(_delta: float) -> void:
	var fresh := false
	while _socket.get_available_packet_count() > 0:
		fresh = _read_packet(_socket.get_packet()) or fresh
	if fresh:
		_apply()


# Finds the pose in a message, or in the messages of a bundle.
func _read_packet(data: PackedByteArray) -> bool:
	if data.size() < 8:
		return false
	if data[0] != 0x23:
		return _read_message(data)
	var found := false
	var at := 16
	while at + 4 <= data.size():
		var length := _integer(data, at)
		if length <= 0 or at + 4 + length > data.size():
			break
		found = _read_packet(data.slice(at + 4, at + 4 + length)) or found
		at += 4 + length
	return found


func _read_message(data: PackedByteArray) -> bool:
	var zero := data.find(0)
	if zero < 0 or data.slice(0, zero).get_string_from_ascii() != POSE:
		return false
	var tags := _padded(zero)
	var tags_end := data.find(0, tags)
	if tags_end < 0:
		return false
	var at := tags + _padded(tags_end - tags) + 8
	if at + 28 * JOINTS > data.size():
		return false
	var numbers := data.slice(at, at + 28 * JOINTS)
	_values.resize(7 * JOINTS)
	var swapped := PackedByteArray([0, 0, 0, 0])
	for index in 7 * JOINTS:
		for byte in 4:
			swapped[byte] = numbers[4 * index + 3 - byte]
		_values[index] = swapped.decode_float(0)
	return true


func _padded(length: int) -> int:
	return (length / 4 + 1) * 4


func _integer(data: PackedByteArray, at: int) -> int:
	return data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]


func _apply() -> void:
	var turns: Array[Quaternion] = []
	for joint in JOINTS:
		var at := 3 * JOINTS + 4 * joint
		var turn := Quaternion(_values[at], _values[at + 1], _values[at + 2], _values[at + 3]).normalized()
		turns.append(turn if PARENTS[joint] < 0 else turns[PARENTS[joint]] * turn)
	var world: Array[Quaternion] = []
	for bone in skeleton.get_bone_count():
		var parent := skeleton.get_bone_parent(bone)
		var above := Quaternion.IDENTITY if parent < 0 else world[parent]
		if _joint_of_bone.has(bone):
			var rest := skeleton.get_bone_global_rest(bone).basis.get_rotation_quaternion()
			world.append(turns[_joint_of_bone[bone]] * rest)
			skeleton.set_bone_pose_rotation(bone, above.inverse() * world[bone])
		else:
			world.append(above * skeleton.get_bone_rest(bone).basis.get_rotation_quaternion())
	var hips := skeleton.find_bone("Hips")
	if hips >= 0:
		var scale_factor := skeleton.get_bone_global_rest(hips).origin.y / PELVIS_HEIGHT
		var place := Vector3(_values[0], _values[1], _values[2]) * scale_factor
		var above_hips := skeleton.get_bone_parent(hips)
		if above_hips >= 0:
			place = skeleton.get_bone_global_rest(above_hips).affine_inverse() * place
		skeleton.set_bone_pose_position(hips, place)
