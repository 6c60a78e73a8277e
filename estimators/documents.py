"""The paragraphs that the estimators' docstrings share."""

from __future__ import annotations

import inspect
import textwrap
from typing import TypeVar

__all__ = ["document"]

_Class = TypeVar("_Class", bound=type)

_PARTS = {
    "wide_and_deep": """
    The linear part learns by heart what single categories and combinations of them
    mean, by Ftrl, whose weights are moved only where a batch has the category; the
    network generalizes from embeddings and numbers.
    """,
    "combined": """
    linear_feature_columns : list of feature columns or None, default=None
        Of `slimlearn.feature_column`: what the linear part reads, such as hashed and
        crossed columns.
    dnn_feature_columns : list of feature columns or None, default=None
        What the network reads: numeric, bucketized, indicator and embedding columns. If
        one is None, that part is left out. If both are, they read all of X: arrays and
        frames of numbers as they are; of a frame with texts or categories both read
        these by the vocabulary of the fit (the network 16 or fewer as indicators, more
        as embeddings), and numbers standardised, missing ones being the mean.
    dnn_hidden_units : int or sequence of int, default=(100,)
        Units of each hidden layer.
    linear_optimizer : str or optimizer object, default="ftrl"
        Of the linear part, such as ``Ftrl(l1=0.1)``, which makes weights zero.
    dnn_optimizer : str or optimizer object, default="adagrad"
        Of the network.
    linear_learning_rate, dnn_learning_rate : "auto" or float > 0, default="auto"
        "auto" is 0.1 for FTRL, 5e-2 for Adagrad and 1e-3 for Adam; the schedule
        multiplies both.
    dnn_activation : str or callable, default="relu"
        Of the hidden layers; see `{beside}`.
    dnn_dropout : float in [0, 1), default=0.0
        Probability of dropping a hidden unit in training.
    dnn_batch_norm : bool, default=False
        Whether hidden layers are batch-normalized before their activation.
    """,
    "categories": """
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns that are categories, beside those of a frame whose type says so: names,
        positions or truth values. {levels} What is missing, or was not in the X of
        `fit`, of the first `partial_fit` or the first chunk, counts as none of them.
        With None, frames of categories are refused.
    """,
    "classifier_loss": """
    loss : {"log_loss", "hinge", "focal", "ordinal"}, loss object or callable, \
default="log_loss"
        "log_loss" is the cross-entropy of probabilities, with smoothed labels where it
        is ``LogLoss(label_smoothing=0.1)``; "hinge" has margins and no
        probabilities; "focal", or ``Focal(gamma=2.0)``, counts less what is right
        already; "ordinal" is for classes in order, told by an ordered categorical, by
        numbers or ``Ordinal(order=[...])``. A function ``loss(raw, y)`` of graph
        tensors returns the loss of each row [B], or of each label [B, k]; raw is [B]
        for two classes, [B, k] for k classes or labels, and read as logits by
        predict_proba; y has class numbers [B], or 0 and 1 for each label [B, k].
        Decorated with `slimlearn.loss` it has parameters.
    """,
    "regressor_loss": """
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson", \
"gamma", "tweedie", "gaussian", "gaussian_mixture"}, loss object \
or callable, default="squared_error"
        Targets are centred and scaled while the network trains, so "huber" is
        quadratic within one standard deviation of y, or ``Huber(delta=...)`` of them.
        "poisson" and "tweedie", or ``Tweedie(power=1.5)``, need y >= 0, "gamma" and a
        power of 2 or more y > 0; they predict through a log link, and the reported loss
        leaves out what depends on y alone. "gaussian", or ``Gaussian(min_std=...)``,
        also learns the deviation of each target, for ``predict(X, return_std=True)``;
        "gaussian_mixture", or ``GaussianMixture(n_components=3)``, a mixture. A
        function ``loss(raw, y)`` of graph tensors gets scaled targets, [B] or [B, k],
        returns the loss of each row [B], or of each target [B, k], and is reported as
        it is; decorated with `slimlearn.loss` it has parameters, and may have several
        numbers per target.
    quantile : float in (0, 1) or sequence of these, default=None
        For loss="quantile": which are predicted. Of several, `predict` gives the
        median, or what is nearest to it, and `predict_quantiles` all. Of "gaussian" and
        "gaussian_mixture" `predict` gives the mean, and `predict_quantiles` these
        quantiles of the distribution.
    """,
    "inputs": """
    inputs : dict of str to columns or None, default=None
        The inputs of a network of several, by name: columns of X as in scikit-learn's
        ColumnTransformer, such as ``{"num": ["age", "fare"], "cat": slice(2, 5)}``.
        The network function then takes a dict of tensors, ``x["num"]`` and
        ``x["cat"]`` [B, columns], or [B] where a single name or position is given
        instead of a list. Columns of integers stay integers, sparse ones stay sparse,
        and others are read as floats. None is one input, X.
    """,
    "feature_columns": """
    feature_columns : list of feature columns or None, default=None
        What the columns of X mean, by the functions of `slimlearn.feature_column`; X is
        then a frame, a dict of arrays or an array. The network function reads them by
        ``layers.input_from_feature_columns(x, columns)`` and
        ``layers.weighted_sum_from_feature_columns(x, columns, num_outputs)``.
    """,
    "optimizer": """
    optimizer : str, optimizer object or dict of these, default="{optimizer}"
        "sgd", "adam", "adamw", "nadam", "lazy_adam", "rmsprop", "adagrad", "adadelta",
        "ftrl", "lbfgs", or an object such as ``Adam(beta1=0.8)``, whose parameters can
        be searched as ``optimizer__beta1``. L-BFGS sees all rows at once and chooses
        its steps itself, whatever `learning_rate`, `batch_size` and `shuffle` are.
        A dict has optimizers by names of layers or parameters, with the wildcards of
        `fnmatch`, as in ``{"*": "adam", "wide*": Ftrl(l1=0.01)}``; of several that fit,
        the last one counts.
    learning_rate : "auto", float > 0 or dict, default="auto"
        "auto" is 1e-3 for Adam and its kin, 1e-2 for SGD, 5e-2 for Adagrad, 0.1 for
        FTRL and 1 for Adadelta. A dict has the rates of several optimizers by their
        names; the schedule multiplies them all.
    """,
    "tail": """
    learning_rate_schedule : str or schedule object, default="constant"
        "constant", "step", "exponential", "cosine", "flat_cosine", "warm_restarts",
        "one_cycle", "inverse_scaling", "plateau", or an object such as
        ``Cosine(warmup=0.1)``, or one of a `Schedule` of your own. Those that go by
        the length of the fit, "cosine", "flat_cosine" and "one_cycle", need
        ``Cosine(epochs=...)`` for `partial_fit`, and begin anew with each fit of
        `warm_start`.
    schedules : dict or None, default=None
        Schedules, as of the learning rate, of other numbers, which are multiplied:
        "dropout" (of all layers), "l2_regularization", "weight_decay", numbers of the
        optimizer such as "momentum" or "beta1", and run-time numbers of the network by
        their names, as in ``schedules={"dropout": "cosine"}``.
    max_iter : int, default=100
        Epochs, or iterations of L-BFGS.
    batch_size : "auto" or int, default="auto"
        Rows of a step. "auto" is 32 up to 1,600 rows, then the power of two nearest
        to n_samples / 50, at most 256. The last batch of an epoch is smaller; where it
        would be a single row, the batch before takes that in; in PyTorch and Keras it
        makes a step of its own.
    accumulate : int, default=1
        Batches whose gradients are added up for one step: as a batch so many times
        larger, within rounding, in the memory of one. Batch normalization still goes by
        each batch's own moments. Gradients of sparse X and embeddings become dense:
        "lazy_adam" is "adam" then.
    l2_regularization : float >= 0, default={l2}
        λ of the penalty ½·λ·‖W‖² that is added to the mean loss. Biases and the
        parameters of normalizations are left out.
    gradient_clip_norm : float > 0 or None, default=None
        Largest norm of the whole gradient of a step, with that of all penalties:
        `l2_regularization`, and the regularizers and losses of layers. What an
        optimizer does to weights beside the gradient, the decay of "adamw" and FTRL's
        own l1 and l2, is not limited.
    {class_weight}early_stopping : bool, default=False
        False runs exactly `max_iter` epochs. True stops when the watched loss or score
        has not improved, and keeps the best weights. Watched are X_val and y_val where
        fit is given them, else a held-out fraction, else the training loss.
    validation_fraction : float in (0, 1) or None, default=0.1
        Fraction of the rows that early stopping holds out, None for none: drawn at
        random and, for classifiers, from each class; whole `groups` where fit is given
        them; and with ``shuffle=False`` the last rows, as they stand, or the groups
        that begin last. Give X_val and y_val to hold out the last rows of a time series
        and shuffle the others.
    n_iter_no_change : int, default=10
        Epochs without improvement before early stopping stops.
    tol : float >= 0, default=1e-4
        Least improvement that counts, of the loss of scaled targets or of the score.
        L-BFGS stops where no component of the gradient is larger.
    {scoring}
    shuffle : bool, default=True
        Whether rows are put in a new order in each epoch; without it, early stopping
        holds out the last rows.
    warm_start : bool, default=False
        Whether fit goes on from the fitted weights, for `max_iter` more epochs.
    callbacks : list or None, default=None
        Callbacks, or pairs of a name and a callback, of
        `slimlearn.callbacks`; their parameters can be searched as
        ``callbacks__<name>__<parameter>``. Without a name, a callback has that of its
        class in lower case.
    precision : {"auto", "float32", "float64", "bfloat16", "float16"}, default="auto"
        What is computed in. "auto" is float64 for X in float64 with at most 1,000 rows
        or with L-BFGS, else float32. "bfloat16" and "float16" are float32, in which
        what products and convolutions multiply is rounded to 16 bits, for gradients
        too; sums, weights, losses and updates stay float32, and so do products with
        sparse rows. "float16" scales the loss, and leaves out steps whose gradient
        overflows; what is beyond 65504 is infinite in it, and predictions of such rows
        are NaN: scale X. On processors both are slower than float32. Predictions come
        in float64 from either, whatever type X has (scikit-learn's MLP gives float32
        for float32). Numbers closer to 0 than 1.2e-38 in float32, or 2.2e-308, are 0
        while it is computed, as on GPUs; NumPy, and PyTorch on CPUs, compute with such
        denormals, slowly.
    device : {"cpu", "cuda", "cuda:1", ..., "auto"}, default="cpu"
        What computes: the processor or an NVIDIA GPU (extra ``slimlearn[cuda13]``);
        "auto" is the GPU on which X lies (DLPack), else the first, where there is one.
        What was fitted on a GPU predicts on the processor, with a warning, where there
        is none. Worker processes of joblib are dealt over the GPUs by "auto".
        Large products are cuBLASLt's and large convolutions cuDNN's where these are
        installed, in float32 as the processor computes; ``SLIM_CUDA_TF32=1`` in the
        environment, set before programs are compiled, lets them round their operands to
        TF32 (10 bits), much faster.
    n_threads : int or None, default=None
        Most threads to be used; the result is the same for any number.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, shuffling, dropout and the held-out rows.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line an epoch: losses, scores
        and the learning rate, with a mark at the best so far where rows are held out or
        early stopping watches. The logger ``slimlearn`` has a DEBUG record of each
        epoch in any case.
    """,
    "scoring": """
    scoring : str or callable, default="loss"
        What early stopping watches: the loss, or any scorer of scikit-learn, or a
        function ``scorer(estimator, X, y)`` whose score is larger for the better.
        Weights of the rows are passed to those that have a `sample_weight`. A score
        that is not finite ends the fit with an error; regressors hold out two rows at
        least for it.
    """,
    "scoring_of_x": """
    scoring : "loss" or callable, default="loss"
        What early stopping watches: the loss, or what a function
        ``scorer(estimator, X, X)`` returns; larger is better.
    """,
    "class_weight": """
    class_weight : dict, "balanced", list of these, or None, default=None
        Factors of the rows' weights by class label; "balanced" gives every class the
        same total weight. For y with several columns "balanced", or a list with one for
        each column, multiplies the loss of each label, scaled to mean 1 over all labels
        of all rows: ``[{1: 5.0}, None]`` is PyTorch's ``pos_weight=[5, 1]``, up to that
        scale. They weigh training, and what early stopping holds out of it, but not
        X_val.
    """,
    "attributes": """
    {classes}n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where X had names.
    n_iter_ : int
        Epochs that the weights have seen, or iterations of L-BFGS.
    loss_curve_, validation_loss_curve_, validation_scores_ : list of float
        One number an epoch; in the units of y. The latter two are empty where nothing
        was held out or scored.
    loss_, best_loss_ : float
        The last training loss; the least loss of validation where there is one, else
        of training.
    best_validation_score_ : float or None
    best_iteration_ : int
        The epoch whose weights were kept.
    learning_rate_ : float
        The base learning rate, of several optimizers the first one's; not with L-BFGS.
    history_ : History
        The record of all epochs, learning rates among it; ``history_.to_frame()`` is a
        DataFrame.
    callbacks_ : list of (str, callback)
        The callbacks of this fit, with what they found.
    program_ : Program
        The compiled network and its arrays; ``print(est.program_)`` shows its text.
    """,
    "classes": """
    classes_ : ndarray of shape (n_classes,), or list of ndarray
        The labels in ascending order; ``arange(k)`` for an indicator of k labels; a
        list for several outputs of several classes each.
    """,
}


def _part(name: str, **inner: str) -> str:
    text = textwrap.dedent(_PARTS[name]).strip()
    for key, value in inner.items():
        text = text.replace("{" + key + "}", value)
    return text


# What becomes of the levels of a category, by whether there are hidden units.
_LEVELS = {
    True: "Up to 16 levels get a column\n"
    "    each, two together one of -1 and 1; of more each gets a trained vector,\n"
    "    of more than 10,000 those that are seen most often.",
    False: "Each level gets a column,\n"
    "    two together one of -1 and 1; of more than 1,000 those that are seen most.",
}


def document(cls: _Class) -> _Class:
    """Fill in the shared paragraphs of a class's docstring."""
    if cls.__doc__ is None:  # python -OO
        return cls
    parameters = inspect.signature(cls).parameters
    optimizer = ""
    if "optimizer" in parameters:
        default = parameters["optimizer"].default
        optimizer = _part("optimizer", optimizer=default) + "\n"
    l2 = str(parameters["l2_regularization"].default)
    classifier = "class_weight" in parameters
    scoring = _part("scoring" if hasattr(cls, "predict") else "scoring_of_x")
    beside = "DNNClassifier" if classifier else "DNNRegressor"
    weight = _part("class_weight") + "\n" if classifier else ""
    classes = _part("classes") + "\n" if classifier else ""
    parts = {
        "{classifier_loss}": _part("classifier_loss"),
        "{regressor_loss}": _part("regressor_loss"),
        "{categories}": _part(
            "categories", levels=_LEVELS["hidden_units" in parameters]
        ),
        "{inputs}": _part("inputs"),
        "{wide_and_deep}": _part("wide_and_deep"),
        "{combined}": _part("combined", beside=beside),
        "{feature_columns}": _part("feature_columns"),
        "{tail}": optimizer
        + _part("tail", l2=l2, class_weight=weight, scoring=scoring),
        "{attributes}": _part("attributes", classes=classes),
    }
    text = inspect.cleandoc(cls.__doc__)
    for key, value in parts.items():
        text = text.replace(key, value)
    cls.__doc__ = text
    return cls
