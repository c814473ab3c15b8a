"""Strict reading of JSON objects: types, ranges, no unknown and no repeated keys."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bailando.errors import BundleError

T = TypeVar("T")

MAX_JSON_DEPTH = 32


def _no_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is repeated")
    return result


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            break
        nested = [v for v in level if isinstance(v, (dict, list))]
        level = [c for v in nested for c in (v.values() if isinstance(v, dict) else v)]
    return depth


def parse_json_object(text: bytes | str) -> dict[str, Any]:
    """Parse one JSON object; NaN, infinities, repeated keys and deep nesting are errors.

    Raises
    ------
    BundleError
        If `text` is not UTF-8 JSON of that kind.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_no_repeated_keys, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "nested too deeply"
        raise BundleError(f"manifest is not valid JSON ({reason}): export the bundle again") from None
    if not isinstance(value, dict) or _depth(value) > MAX_JSON_DEPTH:
        raise BundleError("manifest is not a JSON object of moderate depth: export the bundle again")
    return value


class Fields:
    """Reads the fields of one JSON object, each exactly once.

    Parameters
    ----------
    value : object
        What JSON gave; anything but an object is an error.
    where : str
        Path of the object inside the manifest, for the messages.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise BundleError(f"{where} is {_kind(value)}, expected an object: export the bundle again")
        self._unread = dict(value)
        self._where = where

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}"

    def _take(self, key: str) -> Any:
        if key not in self._unread:
            raise BundleError(f"{self._path(key)} is missing: export the bundle again")
        return self._unread.pop(key)

    def _refuse(self, key: str, value: object, expected: str) -> BundleError:
        shown = repr(value) if isinstance(value, (str, int, float, bool)) else _kind(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return BundleError(f"{self._path(key)} is {shown}, expected {expected}: export the bundle again")

    def text(self, key: str, max_length: int = 4096, allow_empty: bool = True) -> str:
        """Take a string of at most `max_length` characters."""
        value = self._take(key)
        if not isinstance(value, str) or len(value) > max_length or not (value or allow_empty):
            raise self._refuse(
                key, value, f"a string of {0 if allow_empty else 1} to {max_length} characters"
            )
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """Take a string that must be one of `choices`."""
        value = self._take(key)
        if not isinstance(value, str) or value not in choices:
            raise self._refuse(key, value, "one of " + ", ".join(choices))
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """Take an integer in [low, high]."""
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._refuse(key, value, f"an integer in [{low}, {high}]")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """Take a finite number in [low, high]."""
        value = self._take(key)
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not good or not math.isfinite(value) or not low <= value <= high:
            raise self._refuse(key, value, f"a number in [{low}, {high}]")
        return float(value)

    def mapping(self, key: str, max_size: int = 4096) -> dict[str, Any]:
        """Take an object of at most `max_size` keys, unread."""
        value = self._take(key)
        if not isinstance(value, dict) or len(value) > max_size:
            raise self._refuse(key, value, f"an object of at most {max_size} keys")
        return value

    def items(
        self, key: str, read: Callable[[object, str], T], least: int = 0, most: int = 4096
    ) -> tuple[T, ...]:
        """Take a list of `least` to `most` values, each read by ``read(value, path)``."""
        value = self._take(key)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self._refuse(key, value, f"a list of {least} to {most} values")
        return tuple(read(item, f"{self._path(key)}[{i}]") for i, item in enumerate(value))

    def nested(self, key: str, read: Callable[[object, str], T]) -> T:
        """Take an object read by ``read(value, path)``."""
        return read(self._take(key), self._path(key))

    def done(self) -> None:
        """Refuse whatever was not read."""
        if self._unread:
            unknown = ", ".join(sorted(map(str, self._unread)))[:200]
            raise BundleError(f"{self._where} has unknown keys ({unknown}): upgrade bailando or export again")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    for kind, name in names.items():
        if isinstance(value, kind):
            return name
    return "a number"


def read_integer(value: object, where: str, low: int, high: int) -> int:
    """Return `value`, the field at `where`, if it is an integer in [low, high]."""
    return Fields({"value": value}, where).integer("value", low, high)


def read_short_text(value: object, where: str) -> str:
    """Return `value`, the field at `where`, if it is a string of 1 to 128 characters."""
    return Fields({"value": value}, where).text("value", 128, allow_empty=False)
