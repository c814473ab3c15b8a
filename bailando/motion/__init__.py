"""What a body is: skeleton, rotations, kinematics, pose channels, contacts and motion files."""
