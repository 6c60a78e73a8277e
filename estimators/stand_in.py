"""What stands for an estimator's subclass where it is read and its class is not.

It has what the known classes give, which is how it predicts by its program. What the
user's class had in their place is refused by name, and so is another fit.
"""

from __future__ import annotations

import inspect
from types import FunctionType, new_class

from slimlearn.backend.portable import MissingCode, Name, is_known
from slimlearn.estimators.compat import is_conditional
from slimlearn.estimators.sealing import opened, sealed

__all__ = ["facts_of", "make_stand_in"]

# What a class may define and predictions do not read.
_UNREAD = ("__init__", "_parameter_constraints")
_PICKLES = ("__setstate__", "__getattr__", "__getattribute__")
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def facts_of(kind: type) -> tuple:
    """What of an estimator's class goes into a pickle.

    Returns
    -------
    tuple
        The known classes that it has grown from; plain values of its own; names of
        methods and of others that are its own; its constructor's parameters.
    """
    if "_lost" in vars(kind):
        return kind._facts
    bases, own, plain = [], {}, {}
    for owner in kind.__mro__:
        if not is_known(owner):
            own = vars(owner) | own
        elif not any(issubclass(base, owner) for base in bases):
            bases.append(owner)
    for name, value in list(own.items()):
        requests = name.startswith("set_") and name.endswith("_request")
        special = name.startswith("__") and name.endswith("__")
        if requests or name in _UNREAD or (special and name not in _PICKLES):
            del own[name]
        elif isinstance(value, _PLAIN):
            plain[name] = own.pop(name)
    methods = [name for name, value in own.items() if _is_method(value)]
    parameters = [
        (p.name, p.kind.name, p.default is not p.empty, sealed(p.default))
        for p in list(inspect.signature(kind.__init__).parameters.values())[1:]
    ]
    return (
        tuple(bases),
        plain,
        methods,
        [n for n in own if n not in methods],
        parameters,
    )


def _is_method(value) -> bool:
    known = (FunctionType, classmethod, staticmethod)
    return isinstance(value, known) or is_conditional(value)


def make_stand_in(
    name: Name,
    reason: str,
    bases: tuple,
    plain: dict,
    methods: list,
    others: list,
    parameters: list,
) -> type:
    """A class of the name that predicts as the bases do.

    Parameters
    ----------
    name : Name
        Of the class that is missing.
    reason : str
        What was not found.
    bases, plain, methods, others, parameters
        As `facts_of` gives them.
    """

    ours = next(base for base in bases if base.__module__.startswith("slimlearn."))

    def refuse(part: str = "a fit or clone", kind: type = MissingCode):
        raise kind(
            f"{name} is not here ({reason}), and {part} needs it: import or define the "
            "class as it was and load the model again; what it has from "
            f"{ours.__name__} works without it"
        )

    def refusing(*how):
        return lambda *_args, **_kwargs: refuse(*how)

    def __init__(self, *_args, **_kwargs):
        refuse()

    given = [
        inspect.Parameter(
            name,
            getattr(inspect.Parameter, kind),
            **{"default": opened(default)} if has_default else {},
        )
        for name, kind, has_default, default in parameters
    ]
    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = inspect.Signature([self, *given])
    members = {
        **plain,
        **{part: refusing(part) for part in methods},
        **{part: property(refusing(part, AttributeError)) for part in others},
        "__init__": __init__,
        "__doc__": f"Stands for {name}, which is not here.",
        "__module__": name.module,
        "__qualname__": name.qualname,
        "_lost": name,
        "_facts": (bases, plain, methods, others, parameters),
        "_refuse": staticmethod(refuse),
    }
    called = name.qualname.rpartition(".")[2]
    return new_class(called, bases, {}, lambda space: space.update(members))
