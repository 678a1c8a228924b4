"""Mutators: one small random change of bytes, lines or a tree of plain values."""

import copy
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from random import Random
from typing import Any

BLOCK = 512  # bytes of a tar's block, and of a disk's sector

# Values that settings rarely have; each is JSON or YAML.
HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 64, 2**16, 2**31, 2**63, 10**20, -(2**40), 0.5, -0.0,
    1e-300, 1e300, float("inf"), float("-inf"), float("nan"), "", " ", "x", "-1", "1e3", "nan",
    "\0", "ä/../..", "fsq", "a.b=c", "x" * 5000, [], [[]], [0], [1, 2, 3], ["x"], {}, {"kind": "x"},
    {"kind": "fsq"}, {"kind": "kl"}, {"kind": ["x"]}, {"x": 1}, [{"kind": "fsq"}], date(2020, 1, 1),
    b"x", [1] * 300, [{}] * 300, {1: 2}, {None: 1},
)  # fmt: skip


# ---- bytes ---------------------------------------------------------------------------------------


def flipped(data: bytes, draw: Random) -> bytes:
    """One byte has another value."""
    changed = bytearray(data)
    changed[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    return bytes(changed)


def _cut(data: bytes, draw: Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _zeroed(data: bytes, draw: Random) -> bytes:
    start, length = draw.randrange(len(data)), draw.choice((1, 16, BLOCK, 4096))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def _without_part(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.choice((1, 4, BLOCK)) :]


def _doubled_part(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data))
    stop = start + draw.choice((1, 4, BLOCK))
    return data[:stop] + data[start:]


def _with_garbage(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    return data[:start] + draw.randbytes(draw.choice((1, 4, BLOCK))) + data[start:]


def _several_flips(data: bytes, draw: Random) -> bytes:
    for _ in range(draw.randrange(2, 20)):
        data = flipped(data, draw)
    return data


BYTE_MUTATORS = (_cut, _zeroed, _without_part, _doubled_part, _with_garbage, _several_flips)


def damaged(data: bytes, draw: Random) -> bytes:
    """One flipped byte in half of all cases, otherwise a larger damage."""
    if not data:
        return draw.randbytes(4)
    mutate = flipped if draw.random() < 0.5 else draw.choice(BYTE_MUTATORS)
    return mutate(data, draw)


# ---- texts ---------------------------------------------------------------------------------------


def misspelled(word: str, draw: Random) -> str:
    """One letter is missing, doubled or another one."""
    place = draw.randrange(len(word) + 1)
    kept = place + draw.randrange(2)
    return word[:place] + draw.choice(("", "x", word[place : place + 1] * 2)) + word[kept:]


# ---- trees of plain values -----------------------------------------------------------------------

Path = tuple[str | int, ...]


def places(tree: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value of a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def mutated_tree(tree: dict, draw: Random) -> tuple[dict, Path]:
    """A copy of a tree with one change, and the path of what was changed."""
    tree = copy.deepcopy(tree)
    path = draw.choice([*places(tree)])
    parent: Any = tree
    for key in path[:-1]:
        parent = parent[key]
    return tree, (*path[:-1], draw.choice(TREE_MUTATORS)(tree, parent, path[-1], draw))


def _other_value(tree: Any, parent: Any, key: Any, draw: Random) -> Any:
    parent[key] = copy.deepcopy(draw.choice(HOSTILE_VALUES))
    return key


def _near_value(tree: Any, parent: Any, key: Any, draw: Random) -> Any:
    value = parent[key]
    if isinstance(value, str):
        parent[key] = misspelled(value, draw)
    elif isinstance(value, list):
        parent[key] = draw.choice((value[:-1], value * 2, value[::-1]))
    elif isinstance(value, int | float):
        changes = (-value, value + 1, value - 1, value * 2, value / 2, value * 1000, str(value))
        parent[key] = draw.choice(changes)
    return key


def _value_of_elsewhere(tree: Any, parent: Any, key: Any, draw: Random) -> Any:
    value = tree
    for part in draw.choice([*places(tree)]):
        value = value[part]
    parent[key] = copy.deepcopy(value)
    return key


def _nothing(tree: Any, parent: Any, key: Any, draw: Random) -> Any:
    del parent[key]
    return key


def _unknown_key(tree: Any, parent: Any, key: Any, draw: Random) -> Any:
    if isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
        return key
    name = misspelled(str(key), draw)
    parent[name] = parent.pop(key) if draw.random() < 0.5 else copy.deepcopy(parent[key])
    return name


TREE_MUTATORS: Sequence[Callable[[Any, Any, Any, Random], Any]] = (
    _other_value,
    _other_value,
    _near_value,
    _value_of_elsewhere,
    _nothing,
    _unknown_key,
)
