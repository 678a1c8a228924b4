"""The package as a whole: who imports whom, what the wheel holds, what an import costs."""

import ast
import json
import os
import pickle
import re
import subprocess
import sys
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import PackageNotFoundError, distribution, version
from multiprocessing import get_context
from pathlib import Path
from shutil import copytree, ignore_patterns
from types import ModuleType
from zipfile import ZipFile

import pytest
import torch
import yaml

import vistok
from commands import run_process
from vistok.component import build
from vistok.data.sources.source import list_source
from vistok.data.training.crop import CropRules
from vistok.data.training.groups import WeightedFiles
from vistok.data.training.order import SampleIndex
from vistok.data.training.training_set import TrainingSet
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS
from vistok.tokenizers.bottlenecks.fsq import FSQ
from vistok.tokenizers.encoding import Encoding, Output
from vistok.tokenizers.layout import Layout
from vistok.tokenizers.tokenizer import VisualTokenizer
from vistok.train.config.files import json_schema, load_run_config

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = {
    name.removeprefix("vistok").lstrip(".").replace(".", "/") or "."
    for name in PYPROJECT["tool"]["setuptools"]["packages"]
}

# What may stand in a checkout and is no part of the package; folders with a dot are left out too.
BESIDE_THE_PACKAGE = {"tests", "docs", "benchmarks", "examples"}
ARTEFACTS = {"build", "dist", "runs", "quickstart", "site", "__pycache__"}
SHIPPED_SUFFIXES = {".py", ".yaml", ".json", ".j2", ".css", ".js"}

MAY_IMPORT = {
    "models": set(),
    "data": set(),
    "tokenizers": {"models"},
    "eval": {"tokenizers", "models", "data"},
    "train": {"eval", "tokenizers", "models", "data"},
    "encode": {"eval", "tokenizers", "models", "data"},
    "page": {"encode", "eval", "tokenizers", "models", "data"},
}
LEAVES = {
    "component",
    "component_options",
    "config",
    "device",
    "distributed",
    "eval_mode",
    "option_errors",
    "checksums",
    "folder_lock",
    "json_file",
    "output_file",
    "progress",
    "rank_failure",
    "seeding",
    "size_limits",
}
ENTRANCES = {"cli", "metrics", "quickstart", "registry", "__init__", "__main__"}


# ---- what there is -------------------------------------------------------------------------------


def files_on_disk() -> set[str]:
    """Every file of the working tree outside artefacts and dot folders, relative to the root."""
    found = set()
    for folder, children, names in os.walk(ROOT):
        children[:] = [child for child in children if not is_artefact(Path(folder, child))]
        found |= {Path(folder, name).relative_to(ROOT).as_posix() for name in names}
    return found


def is_artefact(folder: Path) -> bool:
    is_environment = (folder / "pyvenv.cfg").exists()
    hidden_or_built = folder.name.startswith(".") or folder.name.endswith(".egg-info")
    return folder.name in ARTEFACTS or hidden_or_built or is_environment


def project_files() -> set[str]:
    """What git tracks; all files on disk where the checkout comes without git."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listed = run_process(command, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        listed = ""
    tracked = {name for name in listed.split("\0") if (ROOT / name).is_file()}
    return tracked or files_on_disk()


def in_package(name: str) -> bool:
    top, *below = name.split("/")
    beside = (below and top in BESIDE_THE_PACKAGE) or name == "setup.py"
    return not top.startswith(".") and not beside


# Modules by dotted name below `vistok`: "tokenizers.bottlenecks.fsq", "cli", "__init__".
MODULES = {
    name.removesuffix(".py").replace("/", "."): ROOT / name
    for name in sorted(files_on_disk())
    if name.endswith(".py") and in_package(name)
}


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run this interpreter, from the root unless told otherwise; a failure shows its stderr."""
    done = run_process([sys.executable, *arguments], cwd=cwd)
    assert done.returncode == 0, f"{arguments} exited with {done.returncode}:\n{done.stderr}"
    return done


# ---- imports point one way -----------------------------------------------------------------------


def import_statements(tree: ast.AST, *, that_run: bool) -> list[ast.Import | ast.ImportFrom]:
    """Import statements of a module, those inside functions included.

    `that_run` leaves out those below `if TYPE_CHECKING`, which only editors read.
    """
    found: list[ast.Import | ast.ImportFrom] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif that_run and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            found += import_statements(ast.Module(node.orelse, []), that_run=True)
        else:
            found += import_statements(node, that_run=that_run)
    return found


def imported_modules(module: str, source: str, *, that_run: bool = False) -> set[str]:
    """Modules of the package that a module imports, by their dotted names."""
    package = module.split(".")[:-1]
    found = set()
    for statement in import_statements(ast.parse(source), that_run=that_run):
        if not isinstance(statement, ast.ImportFrom) or statement.level == 0:
            continue
        assert statement.level <= len(package) + 1, f"{module} imports from above the package"
        base = package[: len(package) + 1 - statement.level]
        base += statement.module.split(".") if statement.module else []
        for alias in statement.names:
            submodule = ".".join([*base, alias.name])
            found.add(submodule if submodule in MODULES else ".".join(base) or "__init__")
    return found


def part(module: str) -> str:
    """The folder of a module, or its own name where it stands at the root."""
    return module.split(".")[0]


def test_the_reader_of_imports_sees_every_form():
    source = """
from typing import TYPE_CHECKING
import torch, tokenizers
from ..config import dump
from .. import component, __version__
from . import tokenizer
if TYPE_CHECKING:
    from .kl import KL
else:
    from .plain import Plain
try:
    from .layout import Layout
except ImportError:
    pass
def late():
    from ..models.blocks.norm import NORMS
"""
    that_run = {"config", "component", "__init__", "models.blocks.norm"} | {
        f"tokenizers.{name}" for name in ("tokenizer", "plain", "layout")
    }
    assert imported_modules("tokenizers.x", source, that_run=True) == that_run
    assert imported_modules("tokenizers.x", source) == that_run | {"tokenizers.kl"}


def test_every_module_belongs_to_a_known_layer():
    # A new folder, or a new file at the root, is placed in MAY_IMPORT, LEAVES or ENTRANCES first.
    known = {*MAY_IMPORT, *LEAVES, *ENTRANCES}
    assert {part(module) for module in MODULES} == known


def test_imports_point_one_way():
    wrong = []
    for module, path in MODULES.items():
        ours = part(module)
        if ours in ENTRANCES:
            continue
        allowed = LEAVES if ours in LEAVES else {ours} | LEAVES | MAY_IMPORT.get(ours, set())
        wrong += [
            f"{module} imports {target}, but may import only {sorted(allowed)}"
            for target in sorted(imported_modules(module, path.read_text(encoding="utf-8")))
            if part(target) not in allowed
        ]
    assert not wrong, "\n".join(wrong)


def test_every_relative_import_names_a_module():
    wrong = [
        f"{module} imports {target}"
        for module, path in MODULES.items()
        for target in imported_modules(module, path.read_text(encoding="utf-8"))
        if target not in MODULES
    ]
    assert not wrong, "\n".join(wrong)


def test_inside_the_package_imports_are_relative():
    wrong = []
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for statement in import_statements(tree, that_run=False):
            if isinstance(statement, ast.Import):
                names = [alias.name for alias in statement.names]
            else:
                names = [] if statement.level else [str(statement.module)]
            wrong += [f"{module}: {name}" for name in names if name.split(".")[0] == "vistok"]
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle():
    # An import inside a function counts: putting it there hides a circle, and does not open it.
    graph = {
        module: imported_modules(module, path.read_text(encoding="utf-8"), that_run=True)
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def folder_of(module: str) -> str:
    return "/".join(module.split(".")[:-1]) or "."


def test_folders_import_each_other_one_way():
    # The root is left out: it holds the leaves and the entrances, which the table above orders.
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for target in imported_modules(module, path.read_text(encoding="utf-8")):
            here, there = folder_of(module), folder_of(target)
            if here != there and "." not in (here, there):
                graph.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_folder_is_too_crowded_to_find_the_door():
    crowd = Counter(map(folder_of, MODULES))
    assert max(crowd.values()) <= 20, crowd.most_common(3)


def test_editors_are_told_the_names_that_the_package_loads_on_first_use():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    (for_editors,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {
        str(alias.asname): str(statement.module)
        for statement in for_editors.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    offered = {name for name in dir(vistok) if name != "__version__"}
    assert set(told) == offered
    for name, home in told.items():
        value = getattr(vistok, name)
        if isinstance(value, ModuleType):
            assert value.__name__ == f"vistok.{name}"
        else:
            assert value.__module__ == f"vistok.{home}"


# ---- what is shipped -----------------------------------------------------------------------------


def test_every_listed_package_is_a_folder():
    missing = [name for name in PACKAGES if not (ROOT / name).is_dir()]
    assert not missing, missing


def test_every_folder_with_modules_is_listed_as_a_package():
    folders = {path.parent.relative_to(ROOT).as_posix() for path in MODULES.values()}
    unlisted = folders - PACKAGES
    assert not unlisted, f"add to tool.setuptools.packages in pyproject.toml: {sorted(unlisted)}"


def test_no_folder_of_the_package_has_an_init_file():
    # A regular package `tokenizers` at the root would hide Hugging Face's library of that name.
    assert [name for name in MODULES if name.endswith("__init__")] == ["__init__"]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel built from a copy, so that no build folder appears in the checkout."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for path in ROOT.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
        elif not is_artefact(path):
            copytree(path, copy / path.name, ignore=ignore_patterns("__pycache__"))
    command = ["-m", "build", "--wheel", "--outdir", str(out)]
    python(*command, *([] if needs_isolation() else ["--no-isolation"]), str(copy), cwd=out)
    (wheel,) = out.glob("*.whl")
    return set(ZipFile(wheel).namelist())


def needs_isolation() -> bool:
    """Whether the installed setuptools is absent or too old; build then fetches one by itself."""
    (requirement,) = PYPROJECT["build-system"]["requires"]
    name, wanted = requirement.split(">=")
    try:
        return int(version(name).split(".")[0]) < int(wanted)
    except PackageNotFoundError:
        return True


def test_the_wheel_holds_every_module_config_template_and_sample(wheel_names: set[str]):
    candidates = project_files() | {p.relative_to(ROOT).as_posix() for p in MODULES.values()}
    expected = {
        f"vistok/{name}"
        for name in candidates
        if in_package(name)
        and (Path(name).suffix in SHIPPED_SUFFIXES or name.startswith("data/samples/"))
    }
    # The rule above finds what it is meant to find.
    assert {
        "vistok/__main__.py",
        "vistok/configs/quickstart.yaml",
        "vistok/configs/schema.json",
        "vistok/eval/report/report.html.j2",
        "vistok/data/samples/LICENCES.md",
    } <= expected
    assert any(name.endswith(".jpg") for name in expected)
    assert any(name.endswith(".mp4") for name in expected)
    missing = {*expected, "vistok/py.typed"} - wheel_names
    assert not missing, f"not in the wheel, see pyproject.toml: {sorted(missing)}"


def test_the_wheel_holds_the_licences(wheel_names: set[str]):
    licences = {
        name.partition(".dist-info/licenses/")[2]
        for name in wheel_names
        if ".dist-info/licenses/" in name
    }
    assert licences == {"LICENSE", "NOTICE", "data/samples/LICENCES.md"}


def test_the_wheel_holds_nothing_but_the_package(wheel_names: set[str]):
    tops = {name.split("/")[0] for name in wheel_names}
    metadata = f"vistok-{vistok.__version__}.dist-info"
    assert tops == {"vistok", metadata}
    beside = {name for name in wheel_names if name.split("/")[1] in BESIDE_THE_PACKAGE}
    assert not beside, sorted(beside)


@pytest.mark.parametrize("name", sorted(n for n in project_files() if n.endswith(".md")))
def test_files_that_the_docs_name_exist(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    if name == "CHANGELOG.md":
        text = text.partition("\n## [0")[0]
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*\.?[a-z]*)`", text))
    ours = {
        path for path in named if path.split("/")[0] in {*MAY_IMPORT, "cli", "configs", "tests"}
    }
    missing = {path for path in ours if not (ROOT / path).exists()}
    assert not missing, sorted(missing)


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PYPROJECT["project"]["version"] == vistok.__version__ == str(citation["version"])


def test_the_schema_of_configs_is_up_to_date():
    stored = json.loads((ROOT / "configs" / "schema.json").read_text(encoding="utf-8"))
    # Compared as JSON, where tuples are lists.
    assert stored == json.loads(json.dumps(json_schema())), "run `make schema`"


def test_no_file_names_a_folder_of_one_machine():
    machine_path = re.compile(r"(?<![\w.-])/(?:work|home|root|Users)/")
    wrong = []
    for name in sorted(project_files()):
        content = (ROOT / name).read_bytes()
        if b"\0" in content:  # pictures and clips
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
            if machine_path.search(line):
                wrong.append(f"{name}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def test_tests_start_commands_in_one_place():
    # There SIGINT is set to its default, which a background job's children would ignore.
    starts = re.compile(r"subprocess\.(run|call|check_\w+|Popen)\(|\bos\.system\(")
    sources = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")
    }
    assert {name for name, source in sources.items() if starts.search(source)} == {"commands.py"}


# ---- what an import does -------------------------------------------------------------------------


def test_the_root_does_not_hide_the_library_called_tokenizers():
    # With -c the working directory comes first on the path, as in a notebook in the checkout.
    code = "import tokenizers, transformers; print(tokenizers.__file__)"
    found = Path(python("-c", code).stdout.strip())
    installed = Path(str(distribution("tokenizers").locate_file("tokenizers")))
    assert found.parent.samefile(installed)


@pytest.fixture(scope="module")
def after_all_imports() -> dict[str, dict[str, str | None]]:
    """Files of all loaded modules, and homes of the public names, once every module is imported."""
    code = """
import json, sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module("vistok" if name == "__init__" else f"vistok.{name}")
import vistok
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
public = {name: getattr(vistok, name) for name in dir(vistok) if name != "__version__"}
homes = {name: getattr(value, "__module__", None) for name, value in public.items()}
print(json.dumps({"files": files, "homes": homes}))
"""
    return json.loads(python("-c", code, *MODULES).stdout)


@pytest.mark.slow
def test_no_folder_takes_the_place_of_a_public_name(
    after_all_imports: dict[str, dict[str, str | None]],
):
    # An imported folder or module becomes an attribute of the package, before __getattr__ is asked.
    homes = after_all_imports["homes"]
    assert homes == {name: getattr(getattr(vistok, name), "__module__", None) for name in homes}
    assert {"load_image", "train_tokenizer", "evaluate", "VisualTokenizer"} <= homes.keys()
    tops = {module.split(".")[0] for module in MODULES} | PACKAGES
    assert not tops & {name for name in homes if homes[name] is not None}


@pytest.mark.slow
def test_no_file_is_loaded_under_two_names(after_all_imports: dict[str, dict[str, str | None]]):
    # From the root, `import data.image` would work too, and give every class a double.
    loaded: dict[Path, list[str]] = {}
    for name, file in after_all_imports["files"].items():
        if file is not None:
            loaded.setdefault(Path(file).resolve(), []).append(name)
    for name, path in MODULES.items():
        expected = "vistok" if name == "__init__" else f"vistok.{name}"
        assert loaded.get(path.resolve()) == [expected], path


def imports_of(*arguments: str) -> tuple[set[str], str]:
    """The modules that an interpreter started like this imports, and what it prints."""
    done = python("-X", "importtime", *arguments)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "vistok" in loaded, "the list of imports could not be read"
    return loaded, done.stdout


def loads_torch(*arguments: str) -> tuple[bool, str]:
    """Whether an interpreter started like this imports torch, and what it prints."""
    loaded, printed = imports_of(*arguments)
    return "torch" in loaded, printed


@pytest.mark.parametrize(
    "arguments",
    [(), ("quickstart",), ("train",), ("reconstruct",), ("encode",), ("decode",), ("eval",),
     ("convert",), ("inspect",), ("info",), ("app",)],
)  # fmt: skip
def test_help_answers_without_torch(arguments: tuple[str, ...]):
    torch_loaded, printed = loads_torch("-m", "vistok", *arguments, "--help")
    assert "Usage" in printed
    assert not torch_loaded


def test_the_version_and_completion_answer_without_torch(monkeypatch: pytest.MonkeyPatch):
    assert loads_torch("-m", "vistok", "--version") == (False, f"vistok {vistok.__version__}\n")
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    torch_loaded, script = loads_torch("-m", "vistok", "--show-completion", "bash")
    assert "complete -o default -F _vistok_completion vistok" in script
    assert not torch_loaded
    # What the shell asks when a tab is pressed after the words.
    monkeypatch.setenv("_VISTOK_COMPLETE", "complete_bash")
    for words, offered in (("vistok ", "train"), ("vistok train image_fsq_f", "image_fsq_f16")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        torch_loaded, printed = loads_torch("-m", "vistok")
        assert offered in printed.split()
        assert not torch_loaded


@pytest.mark.slow
def test_importing_the_package_loads_no_torch():
    assert loads_torch("-c", "import vistok") == (False, "")
    assert loads_torch("-c", "from vistok import metrics; dir(metrics)") == (False, "")
    assert loads_torch("-c", "from vistok import FSQ") == (True, "")


@pytest.mark.slow
def test_checking_a_config_loads_no_metrics():
    code = "from vistok.train.config.files import load_run_config as load; load('quickstart')"
    loaded, _ = imports_of("-c", code)
    assert "torch" in loaded
    assert "torchmetrics" not in loaded


# ---- what goes to another process ----------------------------------------------------------------


def again(value):
    """The value after a journey to another process."""
    return pickle.loads(pickle.dumps(value))


@pytest.fixture(scope="module")
def tokenizer() -> VisualTokenizer:
    stages = [{"width": 8, "blocks": 1}]
    network = {"kind": "causal", "patch_size": 4, "norm": "none", "stages": stages}
    return VisualTokenizer(network, {"kind": "fsq", "levels": [3, 3]}, network).eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_tokenizer_survives_pickling(tokenizer: VisualTokenizer, pixels: torch.Tensor):
    copy = again(tokenizer)
    assert dict(copy.config) == dict(tokenizer.config)
    assert torch.equal(copy.encode(pixels).tokens, tokenizer.encode(pixels).tokens)


DUAL_PATH = {
    "continuous": {"kind": "kl", "latent_channels": 6},
    "quantizer": {"kind": "fsq"},
}


@pytest.mark.parametrize("kind", BOTTLENECKS)
def test_a_bottleneck_and_its_result_survive_pickling(kind: str):
    inner = {"quantizer": {"kind": "fsq"}}
    needed = {"residual": inner, "multi_token": inner, "dual_path": DUAL_PATH}.get(kind, {})
    bottleneck = build(BOTTLENECKS, {"kind": kind, **needed}, "bottleneck").eval()
    x = torch.linspace(-2, 2, 3 * bottleneck.dim).reshape(3, -1)
    result = bottleneck(x)
    for copy in (again(result), again(bottleneck)(x)):
        assert type(copy) is type(result)
        assert torch.equal(copy.codes, result.codes)
        assert (copy.indices is None) == (result.indices is None)
        assert result.indices is None or torch.equal(copy.indices, result.indices)


def test_encodings_and_outputs_survive_pickling(tokenizer: VisualTokenizer, pixels: torch.Tensor):
    encoding = tokenizer.encode(pixels)
    copy = again(encoding)
    assert isinstance(copy, Encoding)
    assert copy.layout == encoding.layout
    assert torch.equal(copy.tokens, encoding.tokens)

    with torch.no_grad():
        output = tokenizer(pixels)
    copy = again(output)
    assert isinstance(copy, Output)
    assert torch.equal(copy.pixels, output.pixels)


@pytest.mark.parametrize(
    "value",
    [Layout(((1, 2, 3), (2, 2, 3)), (9, 32, 40)), CropRules(size=64, frames=17, short_side=72)],
    ids=lambda value: type(value).__name__,
)
def test_plain_values_survive_pickling(value: object):
    assert again(value) == value


def test_a_training_set_survives_pickling():
    # Loader workers that are spawned, not forked, receive the data set like this.
    sources = [WeightedFiles(list_source("samples:train").files)]
    dataset = TrainingSet(sources, CropRules(size=32), seed=3)
    assert torch.equal(again(dataset)[SampleIndex(5)], dataset[SampleIndex(5)])


def test_a_run_config_survives_pickling():
    config = load_run_config("quickstart")
    assert again(config) == config


@pytest.mark.slow
def test_a_spawned_process_can_use_a_quantizer():
    # The child starts from nothing: it finds the class by its module's name alone.
    quantizer = FSQ((3, 4))
    x = torch.linspace(-2, 2, 12).reshape(6, 2)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        indices = pool.submit(quantizer, x).result().indices.tolist()
    assert indices == quantizer(x).indices.tolist()
