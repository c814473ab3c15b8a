// Runs the component until a pose has come and prints the bones: rotation xyzw in the world, and the hips' place.
using System;
using System.Globalization;
using System.Reflection;
using System.Threading;
using UnityEngine;

public static class Driver
{
    public static void Main(string[] arguments)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        var receiver = new BailandoReceiver { port = int.Parse(arguments[0]) };
        for (int bone = 0; bone < 22; bone++)
            receiver.animator.Bones[bone] = new Transform { rotation = new Quaternion(0, 0.6f, 0, 0.8f) };
        receiver.animator.Bones[0].position = new Vector3(0, 0.4825f, 0); // half as tall as our person
        receiver.animator.Bones[12] = null; // an avatar without a neck
        Call(receiver, "Start");
        for (int attempt = 0; attempt < 1000 && receiver.animator.Bones[0].position.x == 0; attempt++)
        {
            Thread.Sleep(20);
            Call(receiver, "LateUpdate");
        }
        var place = receiver.animator.Bones[0].position;
        Console.WriteLine($"{place.x} {place.y} {place.z}");
        foreach (var bone in receiver.animator.Bones)
            Console.WriteLine(bone == null
                ? "none" : $"{bone.rotation.x} {bone.rotation.y} {bone.rotation.z} {bone.rotation.w}");
        Call(receiver, "OnDestroy");
    }

    static void Call(BailandoReceiver receiver, string name) =>
        typeof(BailandoReceiver).GetMethod(name, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(receiver, null);
}
