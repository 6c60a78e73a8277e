"""Disks that are full, read-only or gone: whatever callback writes, epochs are kept."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image
from support.disk import largest_file

from slimlearn import ConvNetClassifier, DNNClassifier
from slimlearn.estimators.callbacks import (
    Callback,
    Checkpoint,
    CSVLog,
    FitStopped,
    JSONLog,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)
WRITERS = {
    "Checkpoint": lambda folder: Checkpoint(folder / "new"),
    "CSVLog": lambda folder: CSVLog(folder / "new" / "log.csv"),
    "JSONLog": lambda folder: JSONLog(folder / "new" / "log.jsonl"),
}
writers = pytest.mark.parametrize("name", WRITERS)


class At(Callback):
    """Does something after the third epoch, before others write of it."""

    def __init__(self, act):
        self.act = act

    def on_epoch_end(self, state):
        if state.epoch == 3:
            self.act()


def stopped(act, writer, caught=FitStopped, est=None, X=X):
    clf = DNNClassifier((4,)) if est is None else est
    clf.set_params(max_iter=9, random_state=0, callbacks=[At(act), writer])
    with pytest.raises(caught, match=r"could not write .*keeps the epochs") as raised:
        clf.fit(X, Y)
    assert clf.n_iter_ == 3 and len(clf.predict(X)) == len(X)
    assert type(writer).__name__ in str(raised.value)
    return raised.value


@writers
def test_a_full_disk(name, tmp_path):
    with ExitStack() as full:
        size = 64

        def fill():
            for file in (tmp_path / "new").iterdir():
                nonlocal size
                size = file.stat().st_size + 10 if name != "Checkpoint" else size
            full.enter_context(largest_file(size))

        error = stopped(fill, WRITERS[name](tmp_path))
    assert error.errno == errno.EFBIG
    [file] = (tmp_path / "new").iterdir()
    if name != "Checkpoint":  # of the third record nothing is left
        lines = file.read_text().splitlines()
        assert len(lines) == (3 if name == "CSVLog" else 2)


@pytest.mark.parametrize("log", [CSVLog, JSONLog])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
def test_a_disk_that_was_full_before(log):
    clf = DNNClassifier((4,), max_iter=3, random_state=0, callbacks=[log("/dev/full")])
    with pytest.raises(FitStopped, match="No space left"):
        clf.fit(X, Y)
    assert clf.n_iter_ == 1


@writers
def test_a_disk_that_vanishes(name, tmp_path):
    error = stopped(lambda: shutil.rmtree(tmp_path / "new"), WRITERS[name](tmp_path))
    assert error.errno == errno.ENOENT


@writers
@pytest.mark.parametrize("given", ["arrays", "paths"])
def test_a_disk_of_images_that_vanishes(name, given, tmp_path):
    images = RNG.integers(0, 256, (60, 6, 6), np.uint8)
    if given == "paths":
        paths = [tmp_path / f"{i}.png" for i in range(60)]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        images = paths
    clf, writer = ConvNetClassifier(filters=(2,)), WRITERS[name](tmp_path)
    error = stopped(lambda: shutil.rmtree(tmp_path / "new"), writer, est=clf, X=images)
    assert error.errno == errno.ENOENT


@writers
def test_a_place_that_is_none(name, tmp_path):
    (tmp_path / "new").touch()
    clf = DNNClassifier(callbacks=[WRITERS[name](tmp_path)])
    with pytest.raises(FitStopped, match=rf"{name} could not write"):
        clf.fit(X, Y)
    assert "program_" not in vars(clf)


READ_ONLY = """
    import subprocess, sys, pathlib
    sys.path.insert(0, {tests!r})
    from estimators.test_disks import WRITERS, stopped
    folder = pathlib.Path({folder!r})
    remount = ["mount", "-o", "remount,ro", str(folder)]
    writer = WRITERS[{name!r}](folder)
    print(stopped(lambda: subprocess.run(remount, check=True), writer).errno)
"""


# A log that is open for writing keeps a file system from turning read-only by command.
def test_a_disk_that_turns_read_only(tmp_path, root, name="Checkpoint"):
    mount = f"mount -t tmpfs none {tmp_path}"
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, mount], capture_output=True).returncode != 0
    ):
        pytest.skip("no file system can be mounted here")
    script = READ_ONLY.format(
        tests=str(root / "tests"), folder=str(tmp_path), name=name
    )
    done = subprocess.run(
        [*inside, f'{mount} && exec "$0" -c "$1"', sys.executable]
        + [textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=root / "tests",
    )
    assert done.stdout.strip() == str(errno.EROFS), done.stderr


def test_a_log_that_is_removed_begins_anew(tmp_path):
    path = tmp_path / "log.jsonl"
    clf = DNNClassifier((4,), max_iter=5, random_state=0)
    clf.set_params(callbacks=[At(path.unlink), JSONLog(path)]).fit(X, Y)
    assert len(path.read_text().splitlines()) == 3


def test_a_pipe_takes_records(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE, text=True) as reader:
        log = JSONLog(path)
        DNNClassifier((4,), max_iter=5, random_state=0, callbacks=[log]).fit(X, Y)
        assert len(reader.communicate()[0].splitlines()) == 5
