// Moves a humanoid character by the dance of: bailando-live --to unity
// Put it on an object with an Animator whose avatar is humanoid and stands in the T-pose.
using System;
using System.Net;
using System.Net.Sockets;
using System.Text;
using UnityEngine;

[RequireComponent(typeof(Animator))]
public class BailandoReceiver : MonoBehaviour
{
    public int port = 9000;

    const int Joints = 24;
    const string PoseAddress = "/bailando/pose";
    const float PelvisHeight = 0.965f; // of the person that the dance was made for, metres
    static readonly int[] Parents =
        { -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21 };
    static readonly HumanBodyBones[] Bones =
    {
        HumanBodyBones.Hips, HumanBodyBones.LeftUpperLeg, HumanBodyBones.RightUpperLeg, HumanBodyBones.Spine,
        HumanBodyBones.LeftLowerLeg, HumanBodyBones.RightLowerLeg, HumanBodyBones.Chest,
        HumanBodyBones.LeftFoot, HumanBodyBones.RightFoot, HumanBodyBones.UpperChest,
        HumanBodyBones.LeftToes, HumanBodyBones.RightToes, HumanBodyBones.Neck,
        HumanBodyBones.LeftShoulder, HumanBodyBones.RightShoulder, HumanBodyBones.Head,
        HumanBodyBones.LeftUpperArm, HumanBodyBones.RightUpperArm,
        HumanBodyBones.LeftLowerArm, HumanBodyBones.RightLowerArm,
        HumanBodyBones.LeftHand, HumanBodyBones.RightHand
    };

    readonly Transform[] bones = new Transform[Joints];
    readonly Quaternion[] rest = new Quaternion[Joints];
    readonly Quaternion[] world = new Quaternion[Joints];
    readonly float[] values = new float[7 * Joints]; // 24 positions, then 24 local rotations xyzw
    UdpClient client;
    float scale;

    void Start()
    {
        var animator = GetComponent<Animator>();
        for (int joint = 0; joint < Bones.Length; joint++)
        {
            bones[joint] = animator.GetBoneTransform(Bones[joint]);
            if (bones[joint] != null)
                rest[joint] = Quaternion.Inverse(transform.rotation) * bones[joint].rotation;
        }
        scale = transform.InverseTransformPoint(bones[0].position).y / PelvisHeight;
        animator.enabled = false; // it would overwrite the pose
        client = new UdpClient(new IPEndPoint(IPAddress.Any, port));
        client.Client.ReceiveBufferSize = 1 << 20;
    }

    void OnDestroy() => client?.Close();

    void LateUpdate()
    {
        bool fresh = false;
        var sender = new IPEndPoint(IPAddress.Any, 0);
        while (client.Available > 0)
            fresh |= ReadPacket(client.Receive(ref sender), 0, -1);
        if (fresh) Apply();
    }

    // Finds the pose in a message, or in the messages of a bundle; the newest one counts.
    bool ReadPacket(byte[] data, int start, int length)
    {
        int end = length < 0 ? data.Length : start + length;
        if (end > data.Length || end - start < 8) return false;
        if (data[start] != (byte)'#') return ReadMessage(data, start, end);
        bool found = false;
        for (int at = start + 16; at + 4 <= end;)
        {
            int size = ReadInt(data, at);
            if (size <= 0 || at + 4 + size > end) break;
            found |= ReadPacket(data, at + 4, size);
            at += 4 + size;
        }
        return found;
    }

    bool ReadMessage(byte[] data, int start, int end)
    {
        int zero = Array.IndexOf(data, (byte)0, start, end - start);
        if (zero < 0 || Encoding.ASCII.GetString(data, start, zero - start) != PoseAddress) return false;
        int tags = start + Padded(zero - start);
        int tagEnd = tags < end ? Array.IndexOf(data, (byte)0, tags, end - tags) : -1;
        if (tagEnd < 0) return false;
        int at = tags + Padded(tagEnd - tags) + 8; // frame number and time come first
        if (at + 4 * values.Length > end) return false;
        for (int index = 0; index < values.Length; index++)
            values[index] = BitConverter.Int32BitsToSingle(ReadInt(data, at + 4 * index));
        return true;
    }

    static int Padded(int length) => (length / 4 + 1) * 4;

    static int ReadInt(byte[] data, int at) => IPAddress.NetworkToHostOrder(BitConverter.ToInt32(data, at));

    void Apply()
    {
        for (int joint = 0; joint < Joints; joint++)
        {
            int at = 3 * Joints + 4 * joint;
            var local = new Quaternion(values[at], values[at + 1], values[at + 2], values[at + 3]);
            world[joint] = Parents[joint] < 0 ? local : world[Parents[joint]] * local;
            if (bones[joint] != null)
                bones[joint].rotation = transform.rotation * world[joint] * rest[joint];
        }
        bones[0].position = transform.TransformPoint(scale * new Vector3(values[0], values[1], values[2]));
    }
}
