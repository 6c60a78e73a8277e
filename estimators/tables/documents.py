"""What the docstrings of the estimators of tables share."""

from __future__ import annotations

__all__ = ["document"]

_SHARED = """members : int or "auto", default="auto"
    Networks that are trained and averaged; "auto" is 2, 8 or 24 by `preset`, and beyond
    25,000 rows fewer, as 1 / √rows, down to 4. The rows are cut into a fold for each,
    but 5 at least and 8 at most: a member trains on the others, and predicts its own.
    They differ by how numbers are given to them too. 1 is the fastest to train and to
    ask.
preset : {"fast", "default", "best"}, default="default"
    What "auto" means elsewhere: "fast" trains 2 members half as long as "default", and
    "best" three times as many, so that each row is held out by members of each kind,
    and networks that tell a row by its neighbours (see `neighbours_share_`). Which
    Gaussian processes are tried, and for how many rows, depends on it too: see
    `near_share_`.
hidden_units : int, sequence of int or "auto", default="auto"
    Units of each hidden layer; "auto" is three of 128, or of 96 where a Gaussian
    process is tried beside the members (see `near_share_`).
activation : str, default="auto"
    Of the hidden layers, by name; "auto" is "selu" for classes and "mish" for numbers.
dropout : float in [0, 1), default=0.15
    Probability of dropping a hidden unit in training.
categorical_features : "from_dtype", array-like or None, default="from_dtype"
    Columns whose numbers are categories, besides columns of categories, booleans and
    texts: see `TabularEncoder`.
max_one_hot : int, default=9
    The most levels of a category that get columns of their own; of more, each level
    gets a vector that is trained.
max_categories : int, default=10000
    The most levels that get a vector; of more those that are seen most often.
n_bins : int, default=16
    Bins of numbers in the members that see them piecewise linearly.
embedding_size : int, default=8
    Length of the vectors of levels.
weight_decay : float, default=0.02
    How far weights, not biases, go to 0 with each step, in learning rates.
learning_rate : float or "auto", default="auto"
    At most, as it warms up and goes down to 0; "auto" is
    {rate}.
max_iter : int or "auto", default="auto"
    Epochs of each member; "auto" is {epochs},
    32 up to 10,000, and then fewer, as rows to the power of -0.85, down to 4; but 300
    steps at least, and by `preset`. Below 2,000 rows it is less than half as many where
    a Gaussian process is tried beside the members.{ends}
    The weights of the best epoch, by the loss of the rows that the member did not see,
    are kept; where these are fewer than 32, those of other members count too. Where
    "auto" is 32 epochs or more, or a Gaussian process is tried, they are asked after
    every other one.
batch_size : int or "auto", default="auto"
    Rows of a step; "auto" is 64 below 2,000 rows, 128 below 30,000, then 256.
time_limit : float or None, default=None
    Seconds after which no further member begins; the first one ends with the epoch in
    which time is up. What comes out then depends on the machine.
callbacks : list of callbacks or of (name, callback), or None, default=None
    For each member: its clones are in ``members_[i].callbacks_``. They hear nothing of
    networks that tell by neighbours: what these train is a place for each row, which
    no scorer can read, and their parameters have other names.
n_jobs : int or None, default=None
    Members that are trained at once, in threads; the result has the same bytes.
n_threads : int or None, default=None
    Threads of each member; None is what is there.
device : {"cpu", "cuda", "cuda:1", ..., "auto"}, default="cpu"
    What trains the networks and predicts with all members: the processor, a GPU, or
    "auto", the first GPU where there is one. Columns are read, the linear model and
    Gaussian processes are solved, and what is near is compared to choose an epoch by
    the processor.
random_state : int, RandomState instance or None, default=None
    Of folds, first weights, batches and dropout.
verbose : int, default=0
    1 shows a line for each network, and what counts in the end, 2 also a progress bar
    for each network."""

_ATTRIBUTES = """members_ : list of estimators
    The networks, and behind them the linear model, the Gaussian processes and the
    networks that tell by neighbours, as far as they count.
linear_share_ : float
    What a linear model counts in the mean, from 0 to 0.99, as rows that were held out
    tell: a ridge or logistic regression, whose penalty is the strongest of those that
    tell such rows best; with the strongest of all it is a constant. It is tried with
    {comparing}.
near_share_ : float
    What Gaussian processes count in the mean, as rows that were held out tell. One is
    tried {nearing}
    preset="best" to 4,000, not with "fast", and with 5 members or more and without a
    `time_limit`. It tells functions that are rough; of 500 to 1,250 rows one of
    smoother functions takes its place where rows that were left out say so clearly.
    From 1,000 rows on "best" takes longer to find what columns count for it, and tries
    two more, of smoother ones.
neighbours_share_ : float
    What networks that tell by neighbours count in the mean, as rows that were held out
    tell. Each is a linear layer that learns where rows lie, and tells a row to be what
    those are that it trained on, the more the nearer they lie: ModernNCA. With
    preset="best" one is trained for each fold, 40 epochs whatever `max_iter` is, from
    1,000 rows on, where Gaussian processes are tried (see `near_share_`) and all rows
    weigh alike.
encoder_ : TabularEncoder
    What makes numbers of X.
columns_ : list of dict
    What was learned of each column; printed as a table.
n_features_in_ : int
    Columns of X.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the columns, where X had names."""


def document(kind: type) -> type:
    """Fill in what both docstrings share."""
    if kind.__doc__ is not None:  # python -OO
        indent = "\n    "
        shared = _SHARED.replace("{rate}", kind._told_rate)
        shared = shared.replace("{epochs}", kind._told_epochs)
        shared = shared.replace("{ends}", kind._told_end).replace("\n", indent)
        kind.__doc__ = kind.__doc__.replace("{shared}", shared).replace(
            "{attributes}",
            _ATTRIBUTES.replace("{comparing}", kind._comparing)
            .replace("{nearing}", kind._told_near)
            .replace("\n", indent),
        )
    return kind
