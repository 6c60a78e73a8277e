"""Model files of estimators: data alone, which anyone may read.

`doors.py` is what users call; `writer.py` and `reader.py` are the two directions of one
format, whose words and fields the tables beside them know.
"""

from slimlearn.estimators.saving.doors import load as load
from slimlearn.estimators.saving.doors import save as save

__all__ = ["load", "save"]
