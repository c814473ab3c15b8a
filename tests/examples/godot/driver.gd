# Builds the character that rig.json describes, hands the recorded packets to the example's script and
# prints where the bones are, as one line of JSON.
extends Node3D


func _ready() -> void:
	var rig: Dictionary = JSON.parse_string(FileAccess.get_file_as_string("res://rig.json"))
	var skeleton := Skeleton3D.new()
	for index in rig.names.size():
		skeleton.add_bone(rig.names[index])
		skeleton.set_bone_parent(index, int(rig.parents[index]))
		var turn: Array = rig.rotations[index]
		var place: Array = rig.offsets[index]
		var basis_of_bone := Basis(Quaternion(turn[0], turn[1], turn[2], turn[3]))
		skeleton.set_bone_rest(index, Transform3D(basis_of_bone, Vector3(place[0], place[1], place[2])))
	skeleton.reset_bone_poses()
	add_child(skeleton)
	var receiver: Node3D = load("res://bailando_receiver.gd").new()
	receiver.skeleton = skeleton
	add_child(receiver)
	var poses := 0
	for text: String in rig.packets:
		if receiver._read_packet(Marshalls.base64_to_raw(text)):
			receiver._apply()
			poses += 1
	var places := []
	for index in skeleton.get_bone_count():
		var origin := skeleton.get_bone_global_pose(index).origin
		places.append([origin.x, origin.y, origin.z])
	var version: String = Engine.get_version_info().string
	print("RESULT " + JSON.stringify({"godot": version, "poses": poses, "places": places}))
