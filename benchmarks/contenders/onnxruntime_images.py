"""onnxruntime, with PyTorch's network exported and its batch norms folded."""

import io

import onnxruntime
import torch
from contenders import torch_images


class Session:
    """A network's logits."""

    def __init__(self, case, X, y):
        net = torch_images.prepare(case, X, y)
        file = io.BytesIO()
        torch.onnx.export(net.net.eval(), (net.X,), file, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = case.threads
        self.weights = net.weights
        self.session = onnxruntime.InferenceSession(
            file.getvalue(), options, providers=["CPUExecutionProvider"]
        )
        self.feed = {self.session.get_inputs()[0].name: net.X.numpy()}

    def forward(self):
        """Return the logits."""
        return self.session.run(None, self.feed)


def prepare(case, X, y):
    """Return a case's network."""
    return Session(case, X, y)
