"""Kinds of scikit-learn's objects around networks: pipelines, preparing, searches."""

from __future__ import annotations

import functools
import importlib

import numpy as np
import sklearn
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import Bunch

from slimlearn.estimators.saving.checks import (
    Check,
    anything,
    array,
    either,
    flag,
    listed,
    mapped,
    numeric,
    of,
    optional,
    text,
)
from slimlearn.estimators.saving.kinds import Kind, make_by_dict
from slimlearn.estimators.saving.networks import COMMON

__all__ = ["kind_named", "kind_of", "scorer_named", "word_of_scorer"]

# Some words for what attributes are: an array or None, a number or an array of them,
# anything that a file can hold.
_ARRAY = optional(either(array, lambda v: hasattr(v, "format")))
_NUMBER = optional(numeric)
_ARRAYS = optional(listed(optional(array)))
_VOCABULARY = mapped(anything, lambda v: isinstance(v, (int, np.integer)) and v >= 0)


def _row(module: str, arrays="", numbers="", others="", **checks) -> tuple[str, dict]:
    fields: dict[str, Check] = dict(COMMON)
    fields.update(dict.fromkeys(arrays.split(), _ARRAY))
    fields.update(dict.fromkeys(numbers.split(), _NUMBER))
    fields.update(dict.fromkeys(others.split(), anything))
    fields.update(checks)
    return f"sklearn.{module}", fields


_PREPARING, _TEXT = "preprocessing", "feature_extraction.text"
_SPECTRUM = "explained_variance_ explained_variance_ratio_ singular_values_ components_"
_SEARCHED = {
    "arrays": "",
    "numbers": (
        "n_splits_ multimetric_ best_index_ best_score_ refit_time_ min_resources_ "
        "max_resources_ n_remaining_candidates_ n_required_iterations_ "
        "n_possible_iterations_ n_iterations_ _n_samples_orig"
    ),
    "others": (
        "best_params_ best_estimator_ cv_results_ scorer_ n_resources_ n_candidates_ "
        "pre_dispatch"
    ),
}
_LINEAR = {
    "arrays": "coef_ classes_ singular_ n_iter_ alphas_",
    "numbers": "intercept_ n_iter_ rank_ alpha_",
    "others": "solver_",
}
_SPLIT: dict[str, str] = {"others": "n_splits shuffle random_state"}

# By what the file calls a class, which is its name: where it is, and its attributes.
_TABLE = {
    "StandardScaler": _row(_PREPARING, "mean_ var_ scale_", "n_samples_seen_"),
    "MinMaxScaler": _row(
        _PREPARING, "scale_ min_ data_min_ data_max_ data_range_", "n_samples_seen_"
    ),
    "MaxAbsScaler": _row(_PREPARING, "max_abs_ scale_", "n_samples_seen_"),
    "RobustScaler": _row(_PREPARING, "center_ scale_"),
    "Normalizer": _row(_PREPARING),
    "Binarizer": _row(_PREPARING),
    "PolynomialFeatures": _row(
        _PREPARING,
        numbers="_min_degree _max_degree n_output_features_ _n_out_full",
    ),
    "KBinsDiscretizer": _row(
        _PREPARING, "bin_edges_ n_bins_", _encoder=lambda v: _is(v, "OneHotEncoder")
    ),
    "QuantileTransformer": _row(_PREPARING, "references_ quantiles_", "n_quantiles_"),
    "PowerTransformer": _row(
        _PREPARING, "lambdas_", _scaler=lambda v: v is None or _is(v, "StandardScaler")
    ),
    "FunctionTransformer": _row(_PREPARING),
    "OneHotEncoder": _row(
        _PREPARING,
        "drop_idx_ _drop_idx_after_grouping",
        categories_=_ARRAYS,
        _infrequent_enabled=flag,
        _infrequent_indices=_ARRAYS,
        _default_to_infrequent_mappings=_ARRAYS,
        _n_features_outs=listed(numeric),
    ),
    "OrdinalEncoder": _row(
        _PREPARING,
        categories_=_ARRAYS,
        _infrequent_enabled=flag,
        _infrequent_indices=_ARRAYS,
        _default_to_infrequent_mappings=_ARRAYS,
        _missing_indices=mapped(numeric, numeric),
    ),
    "TargetEncoder": _row(
        _PREPARING,
        "classes_",
        "target_mean_",
        categories_=_ARRAYS,
        encodings_=_ARRAYS,
        target_type_=text,
        _infrequent_enabled=flag,
        _infrequent_indices=_ARRAYS,
        _default_to_infrequent_mappings=_ARRAYS,
        _label_binarizer=anything,
        _label_encoder=anything,
    ),
    "LabelEncoder": _row(_PREPARING, "classes_"),
    "LabelBinarizer": _row(_PREPARING, "classes_", y_type_=text, sparse_input_=flag),
    "MultiLabelBinarizer": _row(_PREPARING, "classes_", others="_cached_dict"),
    "SimpleImputer": _row(
        "impute",
        "statistics_",
        _fit_dtype=of(np.dtype),
        _fill_dtype=of(np.dtype),
        indicator_=lambda v: v is None or _is(v, "MissingIndicator"),
    ),
    "MissingIndicator": _row("impute", "features_", "_n_features _precomputed"),
    "KNNImputer": _row(
        "impute",
        "_fit_X _mask_fit_X _valid_mask",
        indicator_=lambda v: v is None or _is(v, "MissingIndicator"),
    ),
    "PCA": _row(
        "decomposition",
        f"mean_ {_SPECTRUM}",
        "noise_variance_ n_samples_ n_components_",
        _fit_svd_solver=text,
    ),
    "IncrementalPCA": _row(
        "decomposition",
        f"mean_ var_ {_SPECTRUM}",
        "noise_variance_ n_samples_seen_ n_components_ batch_size_",
    ),
    "TruncatedSVD": _row("decomposition", _SPECTRUM),
    "NMF": _row(
        "decomposition",
        "components_",
        "_n_components _beta_loss reconstruction_err_ n_components_ n_iter_",
    ),
    "FastICA": _row(
        "decomposition",
        "components_ mean_ whitening_ mixing_ _unmixing",
        "n_iter_",
        _whiten=anything,
    ),
    "VarianceThreshold": _row("feature_selection", "variances_"),
    "SelectKBest": _row("feature_selection", "scores_ pvalues_"),
    "SelectPercentile": _row("feature_selection", "scores_ pvalues_"),
    "GaussianRandomProjection": _row(
        "random_projection",
        "components_ inverse_components_",
        "n_components_ _n_features_out",
    ),
    "SparseRandomProjection": _row(
        "random_projection",
        "components_ inverse_components_",
        "n_components_ _n_features_out density_",
    ),
    "CountVectorizer": _row(
        _TEXT, numbers="_stop_words_id", fixed_vocabulary_=flag, vocabulary_=_VOCABULARY
    ),
    "TfidfVectorizer": _row(
        _TEXT,
        numbers="_stop_words_id",
        fixed_vocabulary_=flag,
        vocabulary_=_VOCABULARY,
        _tfidf=lambda v: _is(v, "TfidfTransformer"),
    ),
    "TfidfTransformer": _row(_TEXT, "idf_"),
    "HashingVectorizer": _row(_TEXT, numbers="_stop_words_id"),
    "DictVectorizer": _row(
        "feature_extraction", feature_names_=listed(anything), vocabulary_=_VOCABULARY
    ),
    "FeatureHasher": _row("feature_extraction"),
    "Pipeline": _row("pipeline"),
    "FeatureUnion": _row("pipeline"),
    "ColumnTransformer": _row(
        "compose",
        _columns=listed(anything),
        _transformer_to_input_indices=mapped(text, listed(numeric)),
        _remainder=lambda v: isinstance(v, tuple),
        sparse_output_=flag,
        transformers_=listed(lambda v: isinstance(v, tuple) and len(v) == 3),
        output_indices_=mapped(text, of(slice)),
        _name_to_fitted_passthrough=mapped(text, anything),
        _n_features=numeric,
    ),
    "make_column_selector": _row(
        "compose", others="dtype_include dtype_exclude pattern"
    ),
    "TransformedTargetRegressor": _row(
        "compose", numbers="_training_dim", others="transformer_ regressor_"
    ),
    "FrozenEstimator": _row("frozen"),
    "GridSearchCV": _row("model_selection", **_SEARCHED),
    "RandomizedSearchCV": _row("model_selection", **_SEARCHED),
    "HalvingGridSearchCV": _row("model_selection", **_SEARCHED),
    "HalvingRandomSearchCV": _row("model_selection", **_SEARCHED),
    "KFold": _row("model_selection", **_SPLIT),
    "StratifiedKFold": _row("model_selection", **_SPLIT),
    "GroupKFold": _row("model_selection", **_SPLIT),
    "StratifiedGroupKFold": _row("model_selection", **_SPLIT),
    "FixedThresholdClassifier": _row("model_selection", others="estimator_"),
    "VotingClassifier": _row(
        "ensemble", "classes_", others="le_ estimators_ named_estimators_"
    ),
    "VotingRegressor": _row("ensemble", others="estimators_ named_estimators_"),
    "StackingClassifier": _row(
        "ensemble",
        "classes_",
        others=(
            "_label_encoder final_estimator_ estimators_ named_estimators_ "
            "stack_method_ _n_feature_outs"
        ),
    ),
    "StackingRegressor": _row(
        "ensemble",
        others=(
            "final_estimator_ estimators_ named_estimators_ stack_method stack_method_ "
            "_n_feature_outs"
        ),
    ),
    "MultiOutputClassifier": _row("multioutput", others="estimators_ classes_"),
    "MultiOutputRegressor": _row("multioutput", others="estimators_"),
    "OneVsRestClassifier": _row(
        "multiclass", "classes_", others="label_binarizer_ estimators_"
    ),
    "LogisticRegression": _row("linear_model", **_LINEAR),
    "LinearRegression": _row("linear_model", **_LINEAR),
    "Ridge": _row("linear_model", **_LINEAR),
    "_PassthroughScorer": _row("metrics._scorer", others="_estimator"),
}
# Searches and the like keep how they searched, which may be code: they predict by what
# they found.
_OWN = {
    "SelectKBest": ("score_func",),
    "SelectPercentile": ("score_func",),
    "make_column_selector": ("dtype_include", "dtype_exclude"),
}
for _name in (
    *("GridSearchCV", "RandomizedSearchCV"),
    *("HalvingGridSearchCV", "HalvingRandomSearchCV"),
):
    _OWN[_name] = (
        *("estimator", "param_grid", "param_distributions", "scoring", "cv", "refit"),
        *("scorer_", "best_params_", "cv_results_"),
    )
for _name in ("VotingClassifier", "VotingRegressor"):
    _OWN[_name] = ("estimators",)
for _name in ("StackingClassifier", "StackingRegressor"):
    _OWN[_name] = ("estimators", "final_estimator", "cv")
for _name in (
    *("MultiOutputClassifier", "MultiOutputRegressor", "OneVsRestClassifier"),
    *("FixedThresholdClassifier",),
):
    _OWN[_name] = ("estimator",)
_OWN["TransformedTargetRegressor"] = ("regressor", "transformer")
_OWN["ColumnTransformer"] = ("transformers",)
# Polynomials of more features in higher degrees have no number of terms in 64 bits.
_HIGHEST = 63
_OMITTED = frozenset(("_checked_cv_orig", "_sklearn_version", "_sklearn_fitted"))


def _is(value, word: str) -> bool:
    return type(value).__name__ == word


def _make(cls: type, state: dict):
    made = make_by_dict(cls, state)
    _check(made)
    if hasattr(made, "_parameter_constraints") and cls.__name__ not in _OWN:
        made._validate_params()
    return made


def _check(value) -> None:
    """Refuse columns beyond those there are, and a cache, which is a folder of code."""
    words = getattr(value, "vocabulary_", None)
    if words is not None and sorted(words.values()) != list(range(len(words))):
        raise ValueError("its vocabulary does not number its words from 0 on")
    if not _has_its_width(value):
        raise ValueError("it gives other numbers of columns than its fit tells")
    if getattr(value, "memory", None) is not None:
        raise ValueError(
            "a pipeline with memory=… reads pickles of that folder: set memory=None"
        )


def _has_its_width(value) -> bool:
    """Whether it counts the columns that its fit found: memory goes by the count."""
    try:
        if hasattr(value, "_n_features_outs"):
            most = [len(levels) for levels in value.categories_]
            counts = list(value._n_features_outs)
            return len(counts) == len(most) and all(
                0 <= count <= levels for count, levels in zip(counts, most)
            )
        if hasattr(value, "n_output_features_"):
            features, highest = int(value.n_features_in_), int(value._max_degree)
            if min(features, highest) > _HIGHEST:
                return False
            rest = (highest, value.interaction_only, value.include_bias)
            counted = [
                value._num_combinations(features, int(least), *rest)
                for least in (value._min_degree, 0)
            ]
            return counted == [value.n_output_features_, value._n_out_full]
    except (AttributeError, TypeError, ValueError):
        return False
    return True


# Named estimators of ensembles: a dict whose keys are attributes.
_BUNCH = Kind(
    "Bunch",
    Bunch,
    {"items": mapped(text, anything)},
    required=frozenset(("items",)),
    library={"scikit-learn": sklearn.__version__},
    make=lambda cls, state: cls(**state["items"]),
    state=lambda bunch: {"items": dict(bunch)},
)


@functools.cache
def kind_named(word: str) -> Kind | None:
    """The kind of a word; None if there is none, or not in this scikit-learn."""
    if word == _BUNCH.word:
        return _BUNCH
    found = _TABLE.get(word)
    if found is None:
        return None
    path, fields = found
    if word.startswith("Halving"):
        importlib.import_module("sklearn.experimental.enable_halving_search_cv")
    cls = getattr(importlib.import_module(path), word, None)
    if cls is None:
        return None
    parameters = (
        tuple(cls._get_param_names()) if hasattr(cls, "_get_param_names") else ()
    )
    return Kind(
        word,
        cls,
        fields,
        parameters=parameters,
        own=frozenset(_OWN.get(word, ())),
        omitted=_OMITTED,
        library={"scikit-learn": sklearn.__version__},
        make=_make,
        check=_check,
    )


def kind_of(cls: type) -> Kind | None:
    """The kind of a class of scikit-learn's."""
    kind = kind_named(cls.__name__)
    return kind if kind is not None and kind.cls is cls else None


@functools.cache
def _scorers() -> dict:
    return {name: get_scorer(name) for name in get_scorer_names()}


def word_of_scorer(value) -> str | None:
    """The name of a scorer of scikit-learn's; None for others."""
    if not hasattr(value, "_score_func"):
        return None
    for name, scorer in _scorers().items():
        if type(scorer) is type(value) and vars(scorer) == vars(value):
            return name
    return None


def scorer_named(word: str):
    """A scorer; None if there is none of the name."""
    return get_scorer(word) if word in _scorers() else None
