"""List mutants: a bad line costs itself, and is listed with its reason."""

import json
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from fuzzing import CASES, check_message, check_refusal, fuzz, run
from mutators import HOSTILE_VALUES, damaged

pytestmark = pytest.mark.slow

NUM_GOOD = 4

# Words of lines; none of them names a file that can be read.
WORDS = (
    "nosuch://x/y.png", "s3://bucket/x.png", "http://127.0.0.1:1/x.png", "memory://nothing.png",
    "file:///nothing.png", "simplecache::file:///nothing.png", "simplecache::nosuch://x",
    "zip://x.png::file:///nothing.zip", "reference://x.png::file:///nothing.json", "://", "::",
    "file://", "simplecache::", "/", ".", "..", "/dev/zero", "/dev/stdin", "/proc/self/mem", "~",
    "a\0b.png", "\udce9.png", "\ud800", "ä.png", "\u2028", "\x85", "\x0c", "\x1b[31m", "\ufeff",
    "a" * 300, "a/" * 3000, "x" * 200_000, "{0..9}.png", "%00", "*",
    "nothing.tar", "nothing.parquet", "nothing.csv", "#", "'", '"', '""', '"x', 'x"y"z', ",,,,",
    ",", "C:\\x.png", "\t", "\t\t", " ", "{}", "[1]", "{", "1e999", "null", '{"path": 3}',
    '{"path": null}', '{"path": ["x"]}', '{"path": {"x": 1}}', r'{"path": "\ud800"}',
    '{"path": "x"', "[" * 100_000, '{"path": "", "url": ""}', "\\", "\\\\host\\share",
    '{"path": ' + "9" * 5000 + "}",
)  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.png" for number in range(NUM_GOOD)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    return paths


def lines_of(kind: str, images: list[Path]) -> list[str]:
    if kind == "jsonl":
        return [json.dumps({"path": str(path), "caption": "x"}) for path in images]
    separator = {"txt": "", "csv": ",", "tsv": "\t"}[kind]
    header = [] if kind == "txt" else [f"path{separator}caption"]
    fields = "" if kind == "txt" else f"{separator}x"
    return [*header, *(f"{path}{fields}" for path in images)]


def hostile_line(kind: str, draw: Random) -> str:
    word = draw.choice(WORDS)
    if kind == "jsonl" and draw.random() < 0.5:
        row = {draw.choice(("path", "url", "x")): draw.choice((word, *HOSTILE_VALUES))}
        return json.dumps(row, default=str)
    if draw.random() < 0.5:
        return word
    return draw.choice((",", "\t", ";")).join(draw.choice(WORDS) for _ in range(3))


def test_hostile_lines(images, tmp_path):
    def case(draw: Random) -> None:
        kind = draw.choice(("txt", "csv", "tsv", "jsonl"))
        lines = lines_of(kind, images)
        for _ in range(draw.choice((1, 1, 2, 5))):
            # A table's header stays where it is
            place = draw.randrange(kind in ("csv", "tsv"), len(lines) + 1)
            line = hostile_line(kind, draw)
            # Two stray quotes may enclose good rows
            if kind in ("txt", "jsonl") or sum('"' in other for other in (line, *lines)) < 2:
                lines.insert(place, line)
        text = draw.choice(("\n", "\n", "\r\n")).join(lines)
        file = tmp_path / f"list.{kind}"
        file.write_bytes(text.encode(errors="surrogatepass"))
        outcome = run("inspect", file, "--json", "--thumbnails", 0)
        assert outcome.code == 0, outcome
        found = json.loads(outcome.out)
        assert found["num_images"] == NUM_GOOD, found
        for entry in found["skipped"]:
            check_message(entry["reason"], [""])

    fuzz(case)


def test_damaged_lists(images, tmp_path):
    def case(draw: Random) -> None:
        kind = draw.choice(("txt", "csv", "tsv", "jsonl"))
        file = tmp_path / f"list.{kind}"
        file.write_bytes(damaged("\n".join(lines_of(kind, images)).encode(), draw))
        outcome = run("inspect", file, "--json", "--thumbnails", 0)
        if outcome.code:
            check_refusal(outcome, [file.name])
        else:
            found = json.loads(outcome.out)
            assert found["num_images"] >= 1
            assert all(entry["reason"] for entry in found["skipped"])

    fuzz(case, CASES // 2)
