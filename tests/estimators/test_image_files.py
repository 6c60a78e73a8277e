"""X as paths of image files, resize_to, and files that cannot be read."""

import errno
import os
import pickle
import sys
import tempfile

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from slimlearn import (
    ConvNetClassifier,
    ConvNetRegressor,
    DNNClassifier,
    LayerTransformer,
)
from slimlearn.estimators.inputs import files

digits, labels = load_digits(return_X_y=True)
BYTES = (digits * 15.9).astype(np.uint8).reshape(-1, 8, 8)[:120]
y = labels[:120]
SMALL = {"filters": (4,), "max_iter": 2, "random_state": 0, "n_threads": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of the digits as PNG files."""
    made = tmp_path_factory.mktemp("digits")
    for i, image in enumerate(BYTES):
        Image.fromarray(image).save(made / f"{i:03}.png")
    return made


@pytest.fixture
def paths(folder):
    return sorted(folder.iterdir())


def texts(paths):
    return [str(path) for path in paths]


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        texts,
        lambda p: np.array(texts(p)),
        lambda p: np.array(p, dtype=object)[:, None],
        lambda p: [os.fsencode(path) for path in p],
        lambda p: np.array(texts(p)).astype("S"),
        lambda p: pd.Series(texts(p)),
        lambda p: pd.DataFrame({"file": texts(p)}),
        lambda p: pd.DataFrame({"file": texts(p)}).astype("string"),
        lambda p: pl.Series(texts(p)),
        lambda p: pl.DataFrame({"file": texts(p)}),
    ],
)
def test_paths_are_the_array_of_their_images(make, paths):
    want = ConvNetClassifier(**SMALL).fit(BYTES, y)
    clf = ConvNetClassifier(**SMALL).fit(make(paths), y)
    assert clf._input.shape == (8, 8, 1)
    assert clf.n_features_in_ == 64
    probabilities = want.predict_proba(BYTES)
    for given in (make(paths), BYTES, BYTES.reshape(-1, 64)):
        assert clf.predict_proba(given).tobytes() == probabilities.tobytes()
    assert want.score(make(paths), y) == clf.score(BYTES, y)


def test_in_searches_pickles_validation_chunks_and_features(paths, folder):
    clf = ConvNetClassifier(**SMALL)
    search = GridSearchCV(clf, {"filters": [(2,), (3,)]}, cv=2).fit(paths, y)
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(paths), search.predict(BYTES))
    clf.fit(paths[:80], y[:80], X_val=paths[80:], y_val=y[80:])
    want = ConvNetClassifier(**SMALL)
    want.fit(BYTES[:80], y[:80], X_val=BYTES[80:], y_val=y[80:])
    assert clf.validation_loss_curve_ == want.validation_loss_curve_
    chunks = [(paths[:70], y[:70]), (paths[70:], y[70:])]
    by_chunks = ConvNetClassifier(**SMALL).fit_chunks(chunks)
    arrays = [(BYTES[:70], y[:70]), (BYTES[70:], y[70:])]
    want = ConvNetClassifier(**SMALL).fit_chunks(arrays)
    assert by_chunks.coefs_[0].tobytes() == want.coefs_[0].tobytes()
    features = LayerTransformer(ConvNetClassifier(**SMALL), layer="flatten")
    found = features.fit(paths, y).transform(paths)
    np.testing.assert_array_equal(found, features.transform(BYTES))
    numbers = ConvNetRegressor(**SMALL).fit(paths, y)
    assert numbers.predict(paths[:3]).shape == (3,)


def test_large_ones_lie_in_a_file_that_goes_with_them(paths, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "_IN_MEMORY", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found, unread = files.read_files(texts(paths), "X")
    assert isinstance(found, np.memmap)
    assert not unread
    np.testing.assert_array_equal(found[..., 0], BYTES)
    assert not list(tmp_path.iterdir())
    clf = ConvNetClassifier(**SMALL).fit(paths, y)
    want = ConvNetClassifier(**SMALL).fit(BYTES, y)
    assert clf.coefs_[0].tobytes() == want.coefs_[0].tobytes()
    wide = files.resized(BYTES[..., None], (16, 16))
    assert isinstance(wide, np.memmap)


def test_no_room_for_the_file(paths, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return False

        def write(self, image):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_IN_MEMORY", 0)
    monkeypatch.setattr(files, "TemporaryFile", Full)
    with pytest.raises(OSError, match=r"120 images of 0.0 GB do not fit.*TMPDIR"):
        ConvNetClassifier(**SMALL).fit(paths, y)


def test_channels(tmp_path):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
    names = [tmp_path / f"{i}.png" for i in range(30)]
    for name, image in zip(names, colours, strict=True):
        Image.fromarray(image).save(name)
    z = np.arange(30) % 2
    clf = ConvNetClassifier(**SMALL).fit(names, z)
    assert clf._input.shape == (6, 5, 3)
    np.testing.assert_array_equal(clf.predict(names), clf.predict(colours))
    grey = ConvNetClassifier(**SMALL, image_shape=(6, 5, 1)).fit(names, z)
    assert grey._input.shape == (6, 5, 1)
    with_alpha = tmp_path / "alpha.png"
    Image.fromarray(colours[0]).convert("RGBA").save(with_alpha)
    palette = tmp_path / "palette.png"
    Image.fromarray(colours[0][..., 0]).convert("P").save(palette)
    assert clf.predict([with_alpha, palette]).shape == (2,)
    plain = tmp_path / "plain.png"
    Image.fromarray(colours[0][..., 0]).save(plain)
    assert clf.predict([plain]).shape == (1,)
    with pytest.raises(
        ValueError,
        match=r"0.png' is 6×5×3.*plain.png' is 6×5×1.*grey|"
        r"image_shape=\(height, width, 1\)",
    ):
        ConvNetClassifier(**SMALL).fit([*names, plain], [*z, 0])
    deep = tmp_path / "deep.png"
    Image.fromarray(np.arange(30, dtype=np.uint16).reshape(6, 5)).save(deep)
    with pytest.raises(ValueError, match=r"deep.png.*more than 8 bits"):
        clf.predict([deep])
    with pytest.raises(ValueError, match="1, 3 or 4 channels, not 2"):
        ConvNetClassifier(image_shape=(6, 5, 2)).fit(names, z)


def test_different_sizes_and_resize_to(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (10 + i, 12, 3), dtype=np.uint8) for i in range(20)]
    names = [tmp_path / f"{i}.png" for i in range(20)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(name)
    z = np.arange(20) % 2
    clf = ConvNetClassifier(**SMALL)
    for given in (names, images):
        with pytest.raises(ValueError, match=r"10×12×3.*11×12×3.*resize_to=.height"):
            clf.fit(given, z)
    clf.set_params(resize_to=(6, 7)).fit(names, z)
    assert clf._input.shape == (6, 7, 3)
    want = clf.predict_proba(names)
    by_arrays = ConvNetClassifier(**SMALL, resize_to=[6, 7]).fit(images, z)
    for fitted in (clf, by_arrays):
        for given in (names, images):
            assert fitted.predict_proba(given).tobytes() == want.tobytes()
        one = fitted.predict_proba(images[3][None])
        np.testing.assert_array_equal(one, want[3:4])
    with pytest.raises(ValueError, match=r"10×12×1.*fitted on 6×7×3|6×7×1.*6×7×3"):
        clf.predict(images[0][None, ..., 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
def test_arrays_and_rows_are_resized_too(dtype):
    images = BYTES.astype(dtype)
    settings = {**SMALL, "resize_to": (5, 4)}
    clf = ConvNetClassifier(**settings).fit(images, y)
    assert clf._input.shape == (5, 4, 1)
    by_rows = ConvNetClassifier(**settings).fit(images.reshape(-1, 64), y)
    assert by_rows.n_features_in_ == 64
    want = clf.predict_proba(images)
    assert by_rows.predict_proba(images.reshape(-1, 64)).tobytes() == want.tobytes()
    assert by_rows.predict_proba(images).tobytes() == want.tobytes()
    small = Image.fromarray(BYTES[7]).resize((4, 5), Image.Resampling.BILINEAR)
    if dtype == np.uint8:
        one = clf.predict_proba(np.asarray(small)[None])
        np.testing.assert_array_equal(one, want[7:8])


def test_images_that_pillow_opened(paths, tmp_path):
    clf = ConvNetClassifier(**SMALL).fit(paths, y)
    want = clf.predict_proba(paths[:9])
    made = [Image.fromarray(image) for image in BYTES]
    for some in (tuple(made), pd.Series(made)):
        again = ConvNetClassifier(**SMALL).fit(some, y)
        np.testing.assert_array_equal(again.predict_proba(some[:9]), want)
    np.testing.assert_array_equal(clf.predict_proba([*made[:5], *BYTES[5:9]]), want)
    turned = made[0].rotate(90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    (tmp_path / "cut.png").write_bytes(paths[0].read_bytes()[:60])
    with (
        Image.open(tmp_path / "turned.png") as one,
        Image.open(tmp_path / "cut.png") as cut,
    ):
        np.testing.assert_array_equal(clf.predict_proba([one]), want[:1])
        with pytest.raises(ValueError, match=r"image 1 cannot be read.*truncated"):
            clf.predict([one, cut])
    with pytest.raises(ValueError, match=r"X is one image: give .*\[X\]"):
        clf.predict(made[0])
    palette = [image.convert("RGB").convert("P") for image in made]
    assert ConvNetClassifier(**SMALL).fit(palette, y).n_features_in_ == 8 * 8 * 3
    deep = [Image.fromarray(image.astype(np.int32) * 200) for image in BYTES]
    assert ConvNetClassifier(**SMALL).fit(deep, y).n_features_in_ == 8 * 8


def broken(folder, paths, kind):
    """A list of paths with three files that cannot be read."""
    text, cut = folder / "notes.txt", folder / "cut.png"
    text.write_text("no image")
    cut.write_bytes(paths[0].read_bytes()[:60])
    given = list(paths)
    for i, path in zip((0, 40, 119), (text, cut, folder / "none.png"), strict=True):
        given[i] = path
    return given


REASONS = ("notes.txt': it is no image", "cut.png': ", "none.png': there is no such")


@pytest.mark.parametrize("which", [0, 1, 2])
def test_files_that_cannot_be_read_are_named(paths, tmp_path, which):
    given = broken(tmp_path, paths, None)
    at = (0, 40, 119)[which]
    only = [given[i] if i == at else p for i, p in enumerate(paths)]
    clf = ConvNetClassifier(**SMALL).fit(paths, y)
    for method in (lambda X: clf.fit(X, y), clf.predict, clf.predict_proba):
        with pytest.raises(ValueError, match=f"image {at} .*{REASONS[which]}"):
            method(only)
    clf.set_params(on_error="skip").fit(paths, y)
    with pytest.raises(ValueError, match=REASONS[which]):
        clf.predict(only)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_can_go_without_them(paths, tmp_path, weighted):
    given = broken(tmp_path, paths, None)
    weights = np.linspace(1, 2, 120) if weighted else None
    there = np.setdiff1d(np.arange(120), (0, 40, 119))
    settings = {**SMALL, "on_error": "skip", "precision": "float32"}
    with pytest.warns(UserWarning, match="without 3 of 120 images of X.*notes.txt"):
        clf = ConvNetClassifier(**settings).fit(given, y, weights)
    some = None if weights is None else weights[there]
    want = ConvNetClassifier(**settings).fit(BYTES[there], y[there], some)
    np.testing.assert_allclose(clf.coefs_[0], want.coefs_[0], rtol=1e-5, atol=1e-6)
    with pytest.warns(UserWarning, match="without 1 of 60 images of X_val"):
        clf.fit(BYTES[:60], y[:60], X_val=given[60:], y_val=y[60:])
    want.fit(BYTES[:60], y[:60], X_val=BYTES[60:119], y_val=y[60:119])
    np.testing.assert_allclose(
        clf.validation_loss_curve_, want.validation_loss_curve_, rtol=1e-5
    )
    with pytest.warns(UserWarning, match="without 2 of 60"):
        clf.fit_chunks([(given[:60], y[:60]), (BYTES[60:], y[60:])])
    with pytest.raises(ValueError, match="none of 1 images can be read, first"):
        clf.fit([given[40]], [1])
    with pytest.warns(UserWarning, match="without 2 of 60"):
        found = clf.fit(BYTES, y).gradients(given[:60], y[:60])
    kept = there[there < 60]
    want = clf.gradients(BYTES[kept], y[kept])
    for layer, arrays in want.items():
        for name, array in arrays.items():
            np.testing.assert_allclose(found[layer][name], array, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: str(p[0]), "X is one path.*give a list"),
        (lambda p: [p[0], None, p[1]], "in row 1, None of type NoneType"),
        (lambda p: [str(p[0]), 3.0], "in row 1, 3.0 of type float"),
        (lambda p: [None, *p[:2]], "in row 0, None of type NoneType"),
        (lambda p: pd.Series([pd.NA, *texts(p[:2])], dtype="string"), "row 0, <NA>"),
        (lambda p: pl.Series([None, *texts(p[:2])]), "in row 0, None of"),
        (lambda p: [p[0], BYTES[0], p[1]], r"in row 1, an array of shape .8, 8."),
        (lambda p: [p[0], {"name": "x" * 999}], r"in row 1, .{60}… of type dict"),
        (lambda p: p[0].parent, r"is one path, .*a list of its files, as in sorted"),
    ],
)
def test_what_is_no_list_of_paths(make, text, paths):
    with pytest.raises(TypeError, match=text):
        ConvNetClassifier(**SMALL).fit(make(paths), [0, 1, 0])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: p[0].parent.glob("*.png"), r"is a \w+, which can .*give list\(X\)"),
        (lambda p: map(str, p), r"is a map, which can .*give list\(X\)"),
        (set, r"is a set, whose rows have no order: give a list"),
    ],
)
def test_what_is_read_once_or_in_no_order(make, text, paths):
    for estimator in (ConvNetClassifier(**SMALL), DNNClassifier((4,), max_iter=1)):
        with pytest.raises(ValueError, match=text):
            estimator.fit(make(paths), y)


def test_a_home_folder_is_found(paths, monkeypatch):
    clf = ConvNetClassifier(**SMALL).fit(paths, y)
    monkeypatch.setenv("HOME", str(paths[0].parent))
    found = clf.predict_proba([f"~/{paths[0].name}"])
    np.testing.assert_array_equal(found, clf.predict_proba(paths[:1]))


def test_a_folder_among_the_files_is_named(paths):
    with pytest.raises(ValueError, match=r"image 1 cannot be read, '.*': it is a fold"):
        ConvNetClassifier(**SMALL).fit([paths[0], paths[0].parent], [0, 1])


def test_pixels_of_more_than_8_bits_are_told_once(tmp_path):
    Image.fromarray(BYTES[0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    text = r"deep.png': its pixels have more than 8 bits .* read from arrays alone"
    with pytest.raises(ValueError, match=text):
        ConvNetClassifier(**SMALL).fit([tmp_path / "deep.png"], [0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_as_they_are_shown(tmp_path, orientation):
    """A camera that was held upright says so; viewers turn what it took."""
    taken = np.zeros((4, 6, 3), np.uint8)
    taken[0, :3] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "taken.png"
    Image.fromarray(taken).save(path, exif=exif)
    shown = ImageOps.exif_transpose(Image.open(path))
    found, _ = files.read_files([str(path)], "X")
    np.testing.assert_array_equal(found[0], np.asarray(shown))
    assert found.shape[1:3] == ((6, 4) if orientation > 4 else (4, 6))
    assert files.file_sizes([str(path)]) == [found.shape[1:3]]


def test_other_refusals(paths):
    floats = ConvNetClassifier(**SMALL).fit(digits[:120] / 16, y)
    with pytest.raises(ValueError, match=r"0 to 255, but .* array of float64"):
        floats.predict(paths)
    for size in ((0, 3), (3,), (2.5, 3), (3, 3, 3)):
        with pytest.raises(ValueError, match=r"resize_to=.* must be \(height, width"):
            ConvNetClassifier(resize_to=size).fit(paths, y)
    with pytest.raises(ValueError, match=r"120.*119"):
        ConvNetClassifier(**SMALL).fit(paths, y[1:])


def test_without_pillow(paths, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for given, settings in ((paths, {}), (BYTES, {"resize_to": (4, 4)})):
        with pytest.raises(ImportError, match=r"needs Pillow: .*slimlearn\[images\]"):
            ConvNetClassifier(**SMALL, **settings).fit(given, y)
