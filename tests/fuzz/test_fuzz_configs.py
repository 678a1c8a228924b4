"""Config mutants: each is refused by its key, or is a config that reads the same when dumped."""

from functools import cache
from random import Random

import pytest
import yaml

from fuzzing import check_message, fuzz
from mutators import damaged, misspelled, mutated_tree
from vistok.config import SHIPPED, load_config, shipped_names
from vistok.train.config.files import dump_stages, load_stages

pytestmark = pytest.mark.slow


@cache
def tree_of(name: str) -> dict:
    """A shipped config with a source, and with few blocks, which take time and no other code."""
    tree = load_config(name)
    for network in (tree["model"]["encoder"], tree["model"]["decoder"]):
        for stage in network["stages"]:
            stage["blocks"] = min(stage.get("blocks", 1), 1)
    tree.get("data", {}).setdefault("source", "samples:train")
    return tree


def without_hub() -> list[str]:
    """Shipped configs but for those that, with a setting removed, ask the hub for their halves."""
    return [name for name in shipped_names() if "kind: diffusers" not in text_of(name)]


def text_of(name: str) -> str:
    return (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")


def load_and_dump(config: str, overrides: list[str]) -> str:
    return dump_stages(load_stages(config, overrides))


def test_mutated_configs(tmp_path):
    file = tmp_path / "mutant.yaml"
    names_of_configs = without_hub()

    def case(draw: Random) -> None:
        name, overrides = draw.choice(names_of_configs), list[str]()
        tree = tree_of(name)
        match draw.randrange(10):
            case 0:
                text = (SHIPPED / f"{name}.yaml").read_bytes()
                file.write_bytes(damaged(text, draw))
                names = [file.name, ": "]  # the key may be any
            case 1 | 2:
                mutant, path = mutated_tree(tree, draw)
                override = ".".join(map(str, path))
                overrides = [f"{override}={yaml_value(mutant, path)}"]
                file.write_text(yaml.safe_dump(tree))
                names = parts_of(path)
            case 3:
                lines = yaml.safe_dump(tree).splitlines()
                place = draw.randrange(len(lines))
                lines.insert(place, draw.choice((lines[place], misspelled(lines[place], draw))))
                file.write_text("\n".join(lines))
                names = [file.name, ": "]
            case _:
                mutant, path = mutated_tree(tree, draw)
                for _ in range(draw.choice((0, 0, 0, 1, 3)) if mutant else 0):
                    mutant, more = mutated_tree(mutant, draw)
                    path += more
                file.write_text(yaml.safe_dump(mutant))
                names = [*parts_of(path), file.name]
        try:
            dumped = load_and_dump(str(file), overrides)
        except (ValueError, FileNotFoundError) as error:
            check_message(str(error), names)
            return
        if "---" not in dumped and draw.random() < 0.3:
            file.write_text(dumped)
            assert load_and_dump(str(file), []) == dumped

    fuzz(case)


def parts_of(path: tuple) -> list[str]:
    return [str(part) for part in path if not isinstance(part, int) and str(part)] or ["config"]


def yaml_value(tree, path: tuple) -> str:
    for part in path:
        if isinstance(tree, dict) and part not in tree:
            return "null"
        if isinstance(tree, list) and part >= len(tree):
            return "null"
        tree = tree[part]
    return yaml.safe_dump(tree, default_flow_style=True, width=10**6).removesuffix("\n...\n")
