"""Pages of the site that are made from files outside `docs/`, and links between them.

Used by MkDocs as a hook. Sources are read as text: nothing of the package is imported.
"""

import ast
import posixpath
import re
import shutil
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

# Files of the repository that are pages of the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "data/samples/LICENCES.md": "samples.md",
    **{
        path.relative_to(ROOT).as_posix(): f"measurements/{path.name}"
        for path in (ROOT / "benchmarks" / "results").glob("*.md")
    },
}
REPOSITORY_FILES = {page: source for source, page in PAGES.items()}

# Where the public names live, and the heading below which the reference lists them.
GROUPS = {
    "tokenizers.bottlenecks": "Bottlenecks",
    "tokenizers": "Tokenizers and their results",
    "models": "Networks",
    "data": "Images and videos",
    "train": "Training",
    "encode": "Encoded data sets",
    "eval": "Evaluation",
    "": "More",
}
SOURCES = ROOT / "build" / "documented"
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_startup(**_: object) -> None:
    """Copy the package's modules to where mkdocstrings reads them."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package in project["tool"]["setuptools"]["packages"]:
        copy = SOURCES / package.replace(".", "/")
        copy.mkdir(parents=True)
        (copy / "__init__.py").touch()
        for path in (ROOT / Path(*package.split(".")[1:])).glob("*.py"):
            shutil.copyfile(path, copy / path.name)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "examples.md", content=examples_page()))
    files.append(File.generated(config, "reference.md", content=reference_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links between files of the repository at the pages made of them."""
    uri = page.file.src_uri
    source = REPOSITORY_FILES.get(uri, f"docs/{uri}")

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        link = posixpath.relpath(page_of(target), posixpath.dirname(uri) or ".")
        return f"]({link}{match[2] or ''})"

    return LINK.sub(rewritten, markdown)


def page_of(path: str) -> str:
    """Return the page, or the file below `docs/`, that shows a file of the repository."""
    if path in PAGES:
        return PAGES[path]
    if path.split("/")[0] == "examples":
        return "examples.md"
    return path.removeprefix("docs/")


def examples_page() -> str:
    """Show every example, introduced by its docstring."""
    parts = ["# Examples\n\nEach runs as it stands, and the tests run them all.\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(code)) or ""
        title = path.stem.replace("_", " ").capitalize()
        body = code.split('"""', 2)[2].strip()
        parts.append(f"## {title}\n\n{docstring}\n\n```python\n{body}\n```\n")
    return "\n".join(parts)


def reference_page() -> str:
    """List every public name of the package below the heading of its folder."""
    grouped: dict[str, list[str]] = {title: [] for title in GROUPS.values()}
    for name, home in sorted(public_names("__init__.py").items(), key=in_alphabet):
        prefix = next(p for p in GROUPS if home == p or home.startswith(f"{p}.") or not p)
        grouped[GROUPS[prefix]].append(f"::: vistok.{home}.{name}\n")
    sections = [f"## {title}\n\n" + "\n".join(n) for title, n in grouped.items() if n]
    listed = public_names("__init__.py")
    metrics = [
        f"::: vistok.{home}.{name}\n"
        for name, home in sorted(public_names("metrics.py").items(), key=in_alphabet)
        if name not in listed
    ]
    sections.append("## Metrics\n\nAttributes of `vistok.metrics`.\n\n" + "\n".join(metrics))
    return "# Reference\n\nAll names can be imported from `vistok`.\n\n" + "\n".join(sections)


def in_alphabet(item: tuple[str, str]) -> str:
    """Sort names regardless of case."""
    return item[0].lower()


def public_names(module_file: str) -> dict[str, str]:
    """Return the home of every name that a module of the root declares for editors."""
    module = ast.parse((ROOT / module_file).read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: statement.module
        for block in module.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    }
