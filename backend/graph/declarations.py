"""Values that outlive a function: parameters, states, hypers, slots."""

from slimlearn.backend.graph.tensor import Tensor


class Declaration(Tensor):
    """A value that outlives a function: a parameter, a state, a hyper or a slot."""

    __slots__ = ()
    kind = ""


class Parameter(Declaration):
    """A trained array; see `Model.parameter`.

    The text tells its factors: what the learning rate, and what penalties on weights
    are multiplied by; a `decay_factor` of None is 1 for weights and 0 for biases.
    """

    __slots__ = (
        "collections",
        "decay_factor",
        "initializer",
        "learning_rate_factor",
        "regularizer",
        "trainable",
    )
    kind = "param"

    def __init__(self, name, dtype, shape):
        super().__init__(name, dtype, shape)
        self.initializer = None
        self.regularizer = None
        self.trainable = True
        self.collections = ()
        self.learning_rate_factor = 1.0
        self.decay_factor: float | None = None

    @property
    def factors(self) -> dict[str, float]:
        """The factors that are not the usual ones, as the text has them."""
        known = {"decay_factor": None, "learning_rate_factor": 1.0}
        found = {name: getattr(self, name) for name in known}
        return {k: value for k, value in found.items() if value != known[k]}


class State(Declaration):
    """An array that functions update themselves, such as a moving mean."""

    __slots__ = ("initializer",)
    kind = "state"

    def __init__(self, name, dtype, shape):
        super().__init__(name, dtype, shape)
        self.initializer = None


class Hyper(Declaration):
    """A number given at run time, such as the learning rate.

    `value` is what the network function asked for, None where only the run knows.
    """

    __slots__ = ("value",)
    kind = "hyper"

    def __init__(self, name, dtype, shape):
        super().__init__(name, dtype, shape)
        self.value = None


class Slot(Declaration):
    """An optimizer's array beside the parameters, such as Adam's first moment."""

    __slots__ = ()
    kind = "slot"


DECLARATIONS = {cls.kind: cls for cls in (Parameter, State, Hyper, Slot)}


class Declarations(list):
    """Declarations of one kind in order; also found by name."""

    def __init__(self):
        super().__init__()
        self._by_name: dict[str, Declaration] = {}

    def append(self, declaration: Declaration) -> None:
        """Add a declaration; the model has made sure that its name is new."""
        super().append(declaration)
        self._by_name[declaration.name] = declaration

    def __getitem__(self, key):
        if isinstance(key, str):
            return self._by_name[key]
        return super().__getitem__(key)

    def __contains__(self, key) -> bool:
        if isinstance(key, str):
            return key in self._by_name
        return self._by_name.get(getattr(key, "name", None)) is key

    def names(self) -> list[str]:
        """Return the names in order."""
        return list(self._by_name)
