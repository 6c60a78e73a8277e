"""Lines that a fit of tables says with `verbose`."""

from __future__ import annotations

import sys
from math import isfinite
from typing import TYPE_CHECKING

from slimlearn.estimators.progress import say

if TYPE_CHECKING:
    from slimlearn.estimators.tables.ensemble import TabularEnsemble

__all__ = ["tell_member", "tell_neighbours", "tell_shares"]


def tell_member(owner: TabularEnsemble, member, count: int) -> None:
    """Say that a network is trained, one of so many."""
    losses = member.validation_loss_curve_
    best = f", validation loss {min(losses):.4g}" if losses else ""
    _tell(owner, f"a member of {count}: {member.n_iter_} epochs{best}")


def tell_neighbours(owner: TabularEnsemble, member, count: int) -> None:
    """Say that a network that tells by neighbours is trained, one of so many."""
    best = f"validation loss {member.best_loss_:.4g} after {member.best_iteration_}"
    _tell(owner, f"neighbours of {count}: {member.n_iter_} epochs, {best}")


def tell_shares(owner: TabularEnsemble) -> None:
    """Say what counts, and how well held-out rows were told."""
    others = {
        "linear model": owner.linear_share_,
        "Gaussian processes": owner.near_share_,
        "neighbours": owner.neighbours_share_,
    }
    shares = {"networks": 1.0 - sum(others.values()), **others}
    told = ", ".join(f"{name} {part:.2f}" for name, part in shares.items() if part > 0)
    if isfinite(owner.oof_score_):
        score = "R²" if owner._regression else "accuracy"
        told += f"; {score} {owner.oof_score_:.4g} of held-out rows"
    _tell(owner, told)


def _tell(owner: TabularEnsemble, text: str) -> None:
    if owner.verbose:
        say(sys.stdout, f"{type(owner).__name__}: {text}")
