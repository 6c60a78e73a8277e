"""How callbacks write files: errors keep the epochs done, records are whole."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress

from slimlearn.estimators.callbacks.run import FitStopped

__all__ = ["RecordFile", "writing"]


@contextmanager
def writing(who: str, path):
    """Turn what the system says against a file into a `FitStopped`.

    Parameters
    ----------
    who : str
        The callback, for the message.
    path : str or path-like
    """
    try:
        yield
    except OSError as error:
        raise FitStopped(
            error.errno,
            f"{who} could not write {path} ({error.strerror or error}): make room or "
            "choose another directory; the estimator keeps the epochs done",
        ) from error


class RecordFile:
    """A file that grows by whole records, each with the system once it is appended.

    Parameters
    ----------
    who : str
        The callback, for messages.
    path : str
        Its directory is made if it is missing. A file that is removed while records
        come begins anew.
    """

    def __init__(self, who: str, path: str):
        self._who, self._path = who, path
        with writing(who, path):
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            self._file = self._opened()

    def _opened(self):
        return open(self._path, "ab", buffering=0)

    def append(self, text: str, alone: bool = False) -> None:
        """Write a record; `alone` without those before it.

        Raises
        ------
        FitStopped
            If it cannot be written; the file then ends with the record before.
        """
        with writing(self._who, self._path):
            if os.fstat(self._file.fileno()).st_nlink == 0:
                self._file.close()
                self._file = self._opened()
            regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
            if alone and regular:
                self._file.truncate(0)
            size = self._file.seek(0, os.SEEK_END) if regular else 0
            data = memoryview(text.encode())
            try:
                while data:
                    data = data[self._file.write(data) :]
            except BaseException:
                if regular:
                    with suppress(OSError):
                        self._file.truncate(size)
                raise

    def close(self) -> None:
        """End it."""
        with writing(self._who, self._path):
            self._file.close()
