"""Fitted estimators as ONNX: what X and y mean around the network, and the doors."""

from slimlearn.estimators.onnx.doors import ToONNX, to_onnx

__all__ = ["ToONNX", "to_onnx"]
