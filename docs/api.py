"""The pages of the reference, made from what `slimlearn` says is public.

``__all__`` of the package and of its public modules decides what stands there, so a new
name appears by itself, and is refused here while its docstring has faults.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

import slimlearn
from slimlearn.layers import nets, tf

# What an estimator or a network function hands out, though nobody makes one.
GIVEN = (
    "slimlearn.estimators.history.History",
    "slimlearn.estimators.rate_range.RateRange",
    "slimlearn.backend.program.Program",
    "slimlearn.backend.functions.Function",
    "slimlearn.backend.graph.Tensor",
)


@dataclass(frozen=True)
class Subject:
    """One part of the reference: a page, or a page and one for each of its classes."""

    name: str
    title: str
    about: str
    own_pages: bool = False
    members: bool = False


def tf_names_of_others() -> list[str]:
    """Return the names in `layers.tf` whose functions are defined elsewhere."""
    found = [(tf, "", name) for name in tf.__all__]
    found += [(tf.nn, "nn.", name) for name in tf.nn.__all__]
    return [
        before + name
        for module, before, name in found
        if callable(value := getattr(module, name))
        and not value.__module__.startswith(tf.__name__)
    ]


SUBJECTS = (
    Subject(
        "estimators",
        "Estimators",
        "What is fitted, scored, searched and pickled as scikit-learn's own.",
        own_pages=True,
        members=True,
    ),
    Subject(
        "networks",
        "Own networks",
        "A function of layers becomes a network whose parameters can be searched.",
        members=True,
    ),
    Subject(
        "losses",
        "Losses",
        "For ``loss=``, where its name alone is not enough; their parameters are "
        "searched as ``loss__gamma``.",
    ),
    Subject(
        "optimizers",
        "Optimizers",
        "For ``optimizer=``, where the name alone is not enough; their parameters are "
        "searched as ``optimizer__beta1``.",
    ),
    Subject(
        "schedules",
        "Schedules",
        "For ``learning_rate_schedule=`` and for the numbers in ``schedules=``.",
    ),
    Subject(
        "callbacks",
        "Callbacks",
        "``from slimlearn import callbacks``: objects that hear of epochs and steps, "
        "for ``callbacks=[...]``.",
        members=True,
    ),
    Subject(
        "layers",
        "Layers",
        "``from slimlearn import layers``: functions from tensor to tensor, with "
        "TF-Slim's names, order of arguments and defaults.",
    ),
    Subject(
        "feature_column",
        "Feature columns",
        "``from slimlearn import feature_column``: what the columns of a table mean, "
        "with the names of TensorFlow's ``tf.feature_column`` and "
        "``tf.contrib.layers``.",
    ),
    Subject(
        "ops",
        "Ops",
        "``from slimlearn import ops``: what networks and losses compute with, beside "
        "the operators of Python.",
    ),
    Subject(
        "nets",
        "Networks for images",
        "``from slimlearn.layers.nets import vgg``: TF-Slim's, a module a family. A "
        "function returns ``(net, end_points)``, and stands inside the arg scope that "
        "it was published with.",
    ),
    Subject(
        "tf",
        "TensorFlow's names",
        "``from slimlearn.layers import tf``: what network files of TF-Slim take from "
        "TensorFlow itself. These have its arguments; under the names that they have "
        "elsewhere here, there are "
        + ", ".join(f"``tf.{name}``" for name in tf_names_of_others())
        + ".",
    ),
    Subject(
        "tensorboard",
        "TensorBoard",
        "``from slimlearn import tensorboard``: what writes events for TensorBoard, "
        "beside the callbacks.",
        members=True,
    ),
    Subject("tools", "Tools", "What is left, by name."),
    Subject(
        "given",
        "What is handed out",
        "Objects that estimators and network functions give; nobody makes them.",
        members=True,
    ),
)
# Modules of the package whose names have a page together.
BRANCHES = ("layers", "ops", "callbacks", "losses", "feature_column", "tensorboard")
# Where a name belongs: by the module that defines it, the first that fits.
BELONGS = (
    ("slimlearn.estimators.network", "networks"),
    ("slimlearn.estimators.losses", "losses"),
    ("slimlearn.estimators.callbacks", "callbacks"),
    ("slimlearn.backend.optimizer", "optimizers"),
    ("slimlearn.backend.schedule", "schedules"),
)


def names_of(module: ModuleType) -> list[str]:
    """Return what a module shows: its ``__all__``, or what is defined in it."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]


def walk(module: ModuleType, path: str) -> Iterator[tuple[str, object]]:
    """Yield the path and the object of everything public, modules opened."""
    modules = []
    for name in names_of(module):
        value = getattr(module, name)
        if inspect.ismodule(value):
            modules.append((value, f"{path}.{name}"))
        else:
            yield f"{path}.{name}", value
    for inner, inner_path in modules:
        yield from walk(inner, inner_path)


def resolve(path: str) -> object:
    """Return the object at a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules[module], name)


def resolve_or_none(path: str) -> object:
    """Return the object at a dotted path from the package, None if there is none."""
    value: object = slimlearn
    for name in path.split(".")[1:]:
        value = getattr(value, name, None)
    return value


def public() -> dict[str, object]:
    """Return everything public by its shortest path: a class once, others by module."""
    found: dict[str, object] = {}
    seen = set()
    for path, value in walk(slimlearn, "slimlearn"):
        own = f"{path.rpartition('.')[0]}.{getattr(value, '__name__', '')}"
        if path != own and resolve_or_none(own) is value:  # an alias
            continue
        _, branch, *inner = path.split(".")
        top = inspect.isclass(value) or not inner
        keys = [("" if top else branch, path.rpartition(".")[2], id(value))]
        keys += [("", *keys[0][1:])]
        if seen.isdisjoint(keys):
            seen.add(keys[0])
            found[path] = value
    return found


def subject_of(path: str, value: object) -> str:
    """Return the name of the subject that an object belongs to."""
    for branch in BRANCHES:
        if path.startswith(f"slimlearn.{branch}."):
            return branch
    home = getattr(value, "__module__", "")
    for prefix, name in BELONGS:
        if home == prefix or home.startswith(prefix + "."):
            return name
    return "estimators" if hasattr(value, "fit") else "tools"


def by_subject() -> dict[str, dict[str, object]]:
    """Return everything public, and what is handed out, by subject."""
    parts: dict[str, dict[str, object]] = {s.name: {} for s in SUBJECTS}
    for path, value in public().items():
        parts[subject_of(path, value)][path] = value
    for module in pkgutil.iter_modules(nets.__path__, f"{nets.__name__}."):
        family = importlib.import_module(module.name)
        parts["nets"].update(walk(family, module.name))
    for path, value in walk(tf, tf.__name__):
        if getattr(value, "__module__", "").startswith(tf.__name__):
            parts["tf"][path] = value
    parts["given"] = {path: resolve(path) for path in GIVEN}
    return parts


def members(cls: type) -> list[str]:
    """Return the public methods and properties of a class."""
    return [
        name
        for name in dir(cls)
        if not name.startswith("_")
        and (
            isinstance(inspect.getattr_static(cls, name), property)
            or callable(getattr(cls, name, None))
        )
    ]


def is_own(cls: type, name: str) -> bool:
    """Whether slimlearn, not scikit-learn, wrote a member's docstring."""
    home = next(c for c in cls.__mro__ if name in vars(c))
    request = name.startswith("set_") and name.endswith("_request")
    return home.__module__.startswith("slimlearn") and not request


def faults(path: str) -> list[str]:
    """Return what is wrong with the docstring at a path, in numpydoc's words.

    A parameter may go without a word where the summary says it all, but a section of
    parameters names each, and none that is not there.
    """
    # By object: a path may be that of a module that lies elsewhere.
    checked = validate(get_doc_object(resolve_or_none(path)))
    text = inspect.cleandoc(checked["docstring"] or "")
    codes = {"GL08", "SS01"}
    # "**arguments" stand for those that another docstring names.
    if "\n**" not in text:
        codes.add("PR02")
        if "Parameters\n---" in text:
            codes.add("PR01")
    return [f"{path}: {words}" for code, words in checked["errors"] if code in codes]


def all_faults() -> list[str]:
    """Return what is wrong with the docstrings of everything that has an entry."""
    wrong = []
    for subject in SUBJECTS:
        for path, value in by_subject()[subject.name].items():
            wrong += faults(path)
            if subject.members and inspect.isclass(value):
                for name in filter(partial(is_own, value), members(value)):
                    wrong += faults(f"{path}.{name}")
    return wrong


def entry(subject: Subject, path: str, value: object) -> str:
    """Return the directive of one object."""
    if not inspect.isclass(value):
        return f".. autofunction:: {path}\n"
    text = f".. autoclass:: {path}\n"
    if subject.members and members(value):
        text += f"   :members: {', '.join(members(value))}\n"
    return text


def heading(title: str, line: str) -> str:
    """Return a title and its underline."""
    return f"{title}\n{line * len(title)}\n"


def place(module: str) -> str:
    """Return the directive that makes links to a module lead to what follows."""
    return f".. module:: {module}\n.. currentmodule:: None\n"


def section_of(subject: Subject, path: str, value: object) -> str:
    """Return the title under which an object stands on its subject's page."""
    if subject.name == "nets":
        return path.split(".")[3]
    if subject.name == "tf":
        return path.rpartition(".")[0].removeprefix("slimlearn.layers.")
    if subject.name not in ("layers", "ops"):
        return ""
    parents = path.split(".")[2:-1]
    if parents:
        module = getattr(slimlearn.layers, parents[0])
        return f"layers.{parents[0]}: {first_words(module)}"
    module = inspect.getmodule(getattr(value, "func", value))
    return first_words(module)


def first_words(module: ModuleType) -> str:
    """Return what the first line of a module's docstring says before any colon."""
    line = (module.__doc__ or "Others.").splitlines()[0]
    return line.partition(":")[0].rstrip(".")


def summary(paths: list[str]) -> str:
    """Return a table of objects and their first lines."""
    lines = "\n".join(f"   ~{path}" for path in paths)
    return f".. autosummary::\n\n{lines}\n"


def pages() -> dict[str, str]:
    """Return the text of each page of the reference by its name."""
    made = {}
    for subject in SUBJECTS:
        found = by_subject()[subject.name]
        parts = [heading(subject.title, "=")]
        if inspect.ismodule(getattr(slimlearn, subject.name, None)):
            parts += [place(f"slimlearn.{subject.name}")]
        parts += [subject.about, ""]
        if subject.own_pages:
            parts += [summary(list(found))]
            names = "\n".join(f"   {path}" for path in found)
            parts += [f".. toctree::\n   :hidden:\n\n{names}\n"]
            for path, value in found.items():
                title = heading(path.rpartition(".")[2], "=")
                made[path] = f"{title}\n{entry(subject, path, value)}"
        else:
            sections: dict[str, list[str]] = {}
            for path, value in found.items():
                section = section_of(subject, path, value)
                sections.setdefault(section, []).append(path)
            for section, paths in sorted(sections.items()):
                if subject.name in ("nets", "tf") or section.startswith("layers."):
                    parts += [place(paths[0].rpartition(".")[0])]
                parts += [heading(section, "-")] if section else []
                parts += [summary(paths)]
                parts += [entry(subject, path, found[path]) for path in paths]
        made[subject.name] = "\n".join(parts)
    names = "\n".join(f"   {subject.name}" for subject in SUBJECTS)
    made["index"] = (
        f"{heading('Reference', '=')}\n"
        "Everything public, by subject.\n\n"
        f".. toctree::\n   :maxdepth: 2\n\n{names}\n"
    )
    return made


def write(folder: Path) -> None:
    """Write the pages that differ, and delete those that are no more."""
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in folder.glob("*.rst"):
        if old.stem not in made:
            old.unlink()
    for name, text in made.items():
        put(folder / f"{name}.rst", text)


def put(path: Path, text: str) -> None:
    """Write a file whose text has changed; others keep their time, for Sphinx."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
