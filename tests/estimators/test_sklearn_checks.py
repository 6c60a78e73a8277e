"""Scikit-learn's own checks, on every estimator in every shape: none may skip."""

import functools
import inspect
import warnings

import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import estimator_checks as checks
from sklearn.utils import get_tags
from support.estimator_shapes import SHAPES, false_checks

import slimlearn

# Checks feed data that a hundred iterations do not fit to the last digit.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*without converging:sklearn.exceptions.ConvergenceWarning"
)


def _words(estimator) -> str:
    return " ".join(repr(estimator).split())


def _name(check) -> str:
    name = check.func.__name__
    words = [f"{key}={value}" for key, value in check.keywords.items()]
    return f"{name}({','.join(words)})" if words else name


def _run(check, *arguments) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SkipTestWarning)
        try:
            check(*arguments)
        except checks.SkipTest as skipped:
            pytest.fail(f"skipped: {skipped}")


@functools.cache
def _can_be_made(namespace: str, device) -> bool:
    """Whether there is an array library, and its device, to be checked with."""
    try:
        checks._array_api_for_tests(namespace, device)
    except checks.SkipTest:
        return False
    return True


def _libraries(check) -> list[tuple]:
    """The array libraries and devices that a check wants."""
    words = check.keywords
    if "array_namespace" in words:
        device = words.get("device_name", words.get("device"))
        return [(words["array_namespace"], device)]
    return [value for key, value in words.items() if key.endswith("ns_and_device")]


def scikit_learns_checks():
    for shape, estimators in SHAPES.items():
        for estimator in estimators:
            for one, check in checks.estimator_checks_generator(estimator):
                if not all(_can_be_made(*library) for library in _libraries(check)):
                    continue
                words = f"{shape}: {_words(estimator)}: {_name(check)}"
                yield pytest.param(shape, one, check, id=words)


@pytest.mark.parametrize("shape, estimator, check", list(scikit_learns_checks()))
def test_scikit_learns_checks(shape, estimator, check):
    name = check.func.__name__
    reason = false_checks(shape, estimator).get(name)
    if "sparse" in name and not get_tags(estimator).input_tags.sparse:
        reason = None  # scikit-learn 1.6 asks those without sparse X too, for nothing
    if reason is None:
        _run(check, estimator)
        return
    with pytest.raises(AssertionError, match="sample_weight"):
        check(estimator)
    pytest.xfail(reason)  # printed in the summary


def test_what_is_named_as_false_is_by_dropout_and_folds():
    named = {name for shape in SHAPES for name in false_checks(shape)}
    assert named == {
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    }
    assert [shape for shape in SHAPES if false_checks(shape)] == ["dropout"]
    kinds = {type(one).__name__ for one in SHAPES["default"] if false_checks("", one)}
    assert kinds == {"TabularClassifier", "TabularRegressor"}


def test_every_public_estimator_is_checked():
    public = [getattr(slimlearn, name) for name in slimlearn.__all__]
    kinds = {one for one in public if _is_estimator(one)}
    # Of texts, and of y with a sequence for each row, which no check has.
    kinds -= {
        slimlearn.TokenVectorizer,
        slimlearn.SequenceTagger,
        slimlearn.Seq2Seq,
    }
    assert kinds == {type(one) for one in SHAPES["default"]}


def _is_estimator(one) -> bool:
    known = inspect.isclass(one) and issubclass(one, BaseEstimator)
    return known and hasattr(one, "fit")


# What scikit-learn runs on its own estimators only.
OF_ALL = [
    checks.check_param_validation,
    checks.check_dataframe_column_names_consistency,
]
OF_TRANSFORMERS = [
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
    checks.check_get_feature_names_out_error,
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_global_output_transform_pandas,
    checks.check_set_output_transform_polars,
    checks.check_global_set_output_transform_polars,
]


def checks_of_its_own():
    for estimator in SHAPES["default"]:
        transforms = hasattr(estimator, "transform")
        for check in OF_ALL + OF_TRANSFORMERS * transforms:
            words = f"{_words(estimator)}: {check.__name__}"
            yield pytest.param(estimator, check, id=words)


# The set_output checks fit with names and transform without, and the other way.
@pytest.mark.filterwarnings("ignore:X (does not )?ha(s|ve) .*feature names")
@pytest.mark.parametrize("estimator, check", list(checks_of_its_own()))
def test_checks_that_third_parties_do_not_get(estimator, check):
    _run(check, type(estimator).__name__, estimator)
