"""Format 1 of checkpoints, an archive of zip, which is read and no longer written."""

from __future__ import annotations

import io
import json
import os
import zipfile

import numpy as np

from slimlearn.backend import files

__all__ = ["is_archive", "read"]


def is_archive(path) -> bool:
    """Whether a file begins as archives of zip do."""
    with open(path, "rb") as file:
        return file.read(4) == b"PK\3\4"


def read(path) -> files.Saved:
    """Return the program, the optimizer's arrays and the fit in a checkpoint.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # Its parts are stored as they are: none is longer than the file.
            if (
                sum(part.file_size for part in archive.infolist())
                > os.stat(path).st_size
            ):
                raise ValueError(f"{path}: the checkpoint is damaged (it would swell)")

            def with_arrays(value: dict):
                if set(value) == {"array"}:
                    data = io.BytesIO(archive.read(value["array"]))
                    return np.load(data, allow_pickle=False)
                return value

            saved = files.read(archive.read("program"))
            slots = archive.read("slots")
            fit = json.loads(archive.read("fit.json"), object_hook=with_arrays)
            saved.slots = np.frombuffer(slots, np.uint8) if slots else None
            version = fit.pop("format")
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: the checkpoint is damaged ({error})") from error
    if version != 1:
        raise ValueError(f"{path}: an archive of the unknown format {version}")
    saved.fit = fit
    return saved
