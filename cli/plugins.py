"""Plug-ins of the command line: modules that register kinds when they are imported.

Installed packages name theirs as entry points of the group `vistok.plugins`, and all are imported;
`--plugin MODULE` names others. Configs and saved tokenizers cannot name any: reading a file runs no
code.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points

GROUP = "vistok.plugins"


def load_plugins(names: Sequence[str] | None = None) -> None:
    """Import the plug-ins of installed packages, and then those named.

    Args:
        names: names of modules that Python can import.

    Raises:
        ValueError: a path instead of a name, or a module whose import fails.
    """
    for entry in entry_points(group=GROUP):
        _load(f"the plug-in {entry.name} ({GROUP}: {entry.value})", entry.load)
    for name in names or ():
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(
                "--plugin takes the name of a module that Python can import, such as my_parts or "
                f"my_package.parts, not a path, got {name!r}; set PYTHONPATH to its folder"
            )
        _load(f"--plugin {name}", lambda name=name: import_module(name))


def _load(what: str, load: Callable[[], object]) -> None:
    """Import a plug-in; whatever goes wrong in it is one message.

    Raises:
        ValueError: the import fails.
    """
    try:
        load()
    except Exception as error:
        hint = ""
        if isinstance(error, ModuleNotFoundError):
            hint = "; install it, or set PYTHONPATH to its folder"
        raise ValueError(
            f"{what} cannot be imported: {type(error).__name__}: {error}{hint}"
        ) from error
