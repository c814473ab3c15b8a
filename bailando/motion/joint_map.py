"""Which joint of a foreign skeleton is which of ours: guesses from the names in use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bailando.errors import InputError

REQUIRED_JOINTS: tuple[str, ...] = (
    "pelvis",
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    "head",
)
OPTIONAL_JOINTS: tuple[str, ...] = ("neck", "left_collar", "right_collar", "left_foot", "right_foot")

# Per joint of ours the names it goes by, best first; {s} stands for the side ("left", "l").
# A name may serve several joints (a "LeftShoulder" is a collar bone in some rigs and the upper
# arm in others): the order of this table and of each row decides, and no joint is taken twice.
_CENTRE_NAMES = {
    "pelvis": ("pelvis", "hips", "hip", "bip01pelvis", "root", "hipscenter"),
    "neck": ("neck", "neck1", "bip01neck"),
    "head": ("head", "head1", "bip01head"),
}
_SIDE_NAMES = {
    "hip": ("{s}upleg", "{s}thigh", "{s}upperleg", "thigh{s}", "upperleg{s}", "{s}hip"),
    "knee": ("{s}knee", "{s}shin", "{s}calf", "{s}lowerleg", "calf{s}", "shin{s}", "lowerleg{s}", "{s}leg"),
    "ankle": ("{s}ankle", "{s}foot", "foot{s}"),
    "foot": ("{s}toebase", "{s}toe", "{s}toes", "{s}ball", "ball{s}", "{s}toe0", "toe{s}", "{s}foot"),
    "shoulder": ("{s}upperarm", "upperarm{s}", "{s}arm", "{s}shldr", "{s}uparm", "{s}shoulder"),
    "collar": ("{s}collar", "{s}clavicle", "clavicle{s}", "{s}collarbone", "{s}shoulder"),
    "elbow": ("{s}elbow", "{s}forearm", "{s}lowerarm", "forearm{s}", "lowerarm{s}"),
    "wrist": ("{s}wrist", "{s}hand", "hand{s}"),
}
_SIDES = {"left": ("left", "l"), "right": ("right", "r")}


def guess_joint_map(names: Sequence[str]) -> dict[str, str]:
    """Find our joints among the names of a foreign skeleton.

    Knows the naming of SMPL, CMU's conversions, Mixamo, MotionBuilder, Rokoko, 3ds Max bipeds,
    Unreal, VRM and common variants; namespaces ("mixamorig:") and punctuation do not matter.

    Parameters
    ----------
    names : sequence of str
        Joints of the foreign skeleton.

    Returns
    -------
    dict of str to str
        Our name to theirs, for the joints that were found.
    """
    by_plain_name: dict[str, str] = {}
    for name in names:
        by_plain_name.setdefault(_plain(name), name)
    found: dict[str, str] = {}
    taken: set[str] = set()

    def find(joint: str, aliases: Sequence[str]) -> None:
        for alias in aliases:
            theirs = by_plain_name.get(alias)
            if theirs is not None and theirs not in taken:
                found[joint] = theirs
                taken.add(theirs)
                return

    for joint, aliases in _CENTRE_NAMES.items():
        find(joint, aliases)
    for part, patterns in _SIDE_NAMES.items():
        for side, words in _SIDES.items():
            find(f"{side}_{part}", [p.format(s=word) for p in patterns for word in words])
    return found


def complete_joint_map(names: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Joint map from guesses and what the user gave, checked to be enough for retargeting.

    Parameters
    ----------
    names : sequence of str
        Joints of the foreign skeleton.
    given : mapping of str to str, optional
        Our name to theirs; overrides guesses.

    Raises
    ------
    InputError
        If a given name is unknown, or required joints were not found (all are listed).
    """
    given = dict(given or {})
    known = (*REQUIRED_JOINTS, *OPTIONAL_JOINTS)
    for ours, theirs in given.items():
        if ours not in known:
            raise InputError(f"joint map names {ours!r}; expected one of {', '.join(known)}")
        if theirs not in names:
            raise InputError(
                f"joint map sends {ours!r} to {theirs!r}, which the file lacks; check its joint names"
            )
    guesses = guess_joint_map([name for name in names if name not in given.values()])
    joint_map = {**guesses, **given}
    missing = [joint for joint in REQUIRED_JOINTS if joint not in joint_map]
    if missing:
        raise InputError(
            f"cannot find {', '.join(missing)} among the joints {', '.join(names[:60])}; "
            "give a joint map from these names to the file's"
        )
    return joint_map


def _plain(name: str) -> str:
    """Lower-case letters and digits of a name without its namespace and rig prefix."""
    bare = re.sub(r"[^a-z0-9]", "", name.rpartition(":")[2].lower())
    return re.sub(r"^(mixamorig\d*|bip0*1|jbip[clr]|character1|def)(?=.)", "", bare)
