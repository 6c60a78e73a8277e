"""What the HParams dashboard reads: sessions, their parameters, how they ended."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from slimlearn.estimators.tensorboard.messages import kinds

__all__ = ["ended", "experiment", "group_of", "plain", "started"]


def plain(value) -> bool | float | str:
    """Return a parameter as the dashboard knows them: numbers, truth values, words."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        return float(value)
    return value if isinstance(value, str) else repr(value)


def group_of(params: Mapping) -> str:
    """Return a name that sessions of the same parameters share."""
    text = repr(sorted((name, plain(value)) for name, value in params.items()))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _event(tag: str, data):
    proto, plugin = kinds(), kinds().hparams_plugin
    value = proto.summary.Summary.Value(
        tag=tag,
        metadata=plugin.create_summary_metadata(data),
        tensor=plugin.NULL_TENSOR,
    )
    summary = proto.summary.Summary(value=[value])
    return proto.event.Event(wall_time=time.time(), summary=summary)


def started(params: Mapping, group: str):
    """Return the event of a session that begins with these parameters."""
    proto, plugin = kinds(), kinds().hparams_plugin
    info = proto.hparams.SessionStartInfo(group_name=group, start_time_secs=time.time())
    for name, value in params.items():
        value = plain(value)
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = value
    data = proto.hparams.HParamsPluginData(session_start_info=info)
    return _event(plugin.SESSION_START_INFO_TAG, data)


def ended(well: bool):
    """Return the event of a session that is over."""
    proto, plugin = kinds(), kinds().hparams_plugin
    status = proto.hparams_api.Status.Value(
        "STATUS_SUCCESS" if well else "STATUS_FAILURE"
    )
    info = proto.hparams.SessionEndInfo(status=status, end_time_secs=time.time())
    data = proto.hparams.HParamsPluginData(session_end_info=info)
    return _event(plugin.SESSION_END_INFO_TAG, data)


def experiment(candidates: Sequence[Mapping], metrics: Sequence[str]):
    """Return the event that tells the columns of the table."""
    proto, plugin = kinds(), kinds().hparams_plugin
    made = proto.hparams_api.Experiment(time_created_secs=time.time())
    values: dict[str, list] = {}
    for params in candidates:
        for name, value in params.items():
            found = values.setdefault(name, [])
            if plain(value) not in found:
                found.append(plain(value))
    words = {bool: "DATA_TYPE_BOOL", float: "DATA_TYPE_FLOAT64"}
    for name, found in values.items():
        types = {type(value) for value in found}
        if len(types) > 1:  # numbers among words are words
            found = [str(value) for value in found]
        word = words.get(types.pop(), "DATA_TYPE_STRING")
        if types:
            word = "DATA_TYPE_STRING"
        info = made.hparam_infos.add(
            name=name, type=proto.hparams_api.DataType.Value(word)
        )
        info.domain_discrete.extend(found)
    for metric in metrics:
        made.metric_infos.add(name={"tag": metric})
    data = proto.hparams.HParamsPluginData(experiment=made)
    return _event(plugin.EXPERIMENT_TAG, data)
