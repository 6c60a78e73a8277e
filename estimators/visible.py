"""What `dir` and completion show of an object: what is public, and is there."""

from __future__ import annotations

import inspect

from slimlearn.estimators.compat import is_conditional

__all__ = ["Visible"]


class Visible:
    """A mixin: methods that a setting takes away are not shown."""

    def __dir__(self) -> list[str]:
        return [
            name
            for name in super().__dir__()
            if not name.startswith("_")
            and (
                not is_conditional(inspect.getattr_static(self, name, None))
                or hasattr(self, name)
            )
        ]
