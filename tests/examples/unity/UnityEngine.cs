// As much of UnityEngine's interface as the component uses, so that it runs without Unity.
using System;

namespace UnityEngine
{
    public class RequireComponent : Attribute { public RequireComponent(Type type) { } }

    public class MonoBehaviour
    {
        public Transform transform = new Transform();
        public Animator animator = new Animator();
        public T GetComponent<T>() where T : class => animator as T;
    }

    public class Animator
    {
        public bool enabled = true;
        public readonly Transform[] Bones = new Transform[22];
        public Transform GetBoneTransform(HumanBodyBones bone) => Bones[(int)bone];
    }

    public class Transform
    {
        public Quaternion rotation = new Quaternion(0, 0, 0, 1);
        public Vector3 position;
        public Vector3 InverseTransformPoint(Vector3 point) => point;
        public Vector3 TransformPoint(Vector3 point) => point;
    }

    public struct Vector3
    {
        public float x, y, z;
        public Vector3(float x, float y, float z) { this.x = x; this.y = y; this.z = z; }
        public static Vector3 operator *(float s, Vector3 v) => new Vector3(s * v.x, s * v.y, s * v.z);
    }

    public struct Quaternion
    {
        public float x, y, z, w;
        public Quaternion(float x, float y, float z, float w) { this.x = x; this.y = y; this.z = z; this.w = w; }
        public static Quaternion Inverse(Quaternion q) => new Quaternion(-q.x, -q.y, -q.z, q.w);
        public static Quaternion operator *(Quaternion a, Quaternion b) => new Quaternion(
            a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
            a.w * b.y + a.y * b.w + a.z * b.x - a.x * b.z,
            a.w * b.z + a.z * b.w + a.x * b.y - a.y * b.x,
            a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z);
    }

    public enum HumanBodyBones
    {
        Hips, LeftUpperLeg, RightUpperLeg, Spine, LeftLowerLeg, RightLowerLeg, Chest, LeftFoot, RightFoot,
        UpperChest, LeftToes, RightToes, Neck, LeftShoulder, RightShoulder, Head, LeftUpperArm, RightUpperArm,
        LeftLowerArm, RightLowerArm, LeftHand, RightHand
    }
}
