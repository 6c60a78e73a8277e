"""PyTorch's side of networks for images: eager, channels before pixels."""

import contenders.torch_nets as nets
import torch
from images import PASSES, least
from torch.nn.functional import conv2d, cross_entropy, pad

CONVOLVED = torch.ops.aten.convolution_backward


class Net:
    """A network: its logits, and its gradients on one batch."""

    def __init__(self, case, X, y, memory_format=torch.contiguous_format):
        torch.set_num_threads(case.threads)
        torch.manual_seed(0)
        net = getattr(nets, case.net)(case.size)
        self.net = net.to(memory_format=memory_format)
        X = torch.from_numpy(X).permute(0, 3, 1, 2)
        self.X = X.contiguous(memory_format=memory_format)
        self.y = torch.from_numpy(y)
        self.weights = sum(p.numel() for p in net.parameters() if p.ndim > 1)

    def forward(self):
        """Return the logits."""
        self.net.eval()
        with torch.inference_mode():
            return self.net(self.X)

    def training(self):
        """Compute the loss and all gradients."""
        self.net.train()
        self.net.zero_grad(set_to_none=True)
        cross_entropy(self.net(self.X), self.y).backward()


def prepare(case, X, y):
    """Return a case's network."""
    return Net(case, X, y)


def convolution(case, memory_format=torch.contiguous_format):
    """Return the time of each pass."""
    torch.set_num_threads(1)
    arrays = {name: torch.from_numpy(a) for name, a in case.arrays().items()}
    x, dy = (arrays[name].permute(0, 3, 1, 2) for name in ("x", "dy"))
    w = arrays["w"].permute(3, 2, 0, 1)
    x, w, dy = (a.contiguous(memory_format=memory_format) for a in (x, w, dy))
    stride, groups = [case.stride] * 2, case.groups
    # Where a stride leaves an uneven padding the image comes padded, before the clock.
    around = max((case.out - 1) * case.stride + case.kernel - case.size, 0)
    padding = [around // 2] * 2
    if around % 2:
        x = pad(x, [around // 2, around - around // 2] * 2)
        x, padding = x.contiguous(memory_format=memory_format), [0, 0]

    def backward(mask):
        with torch.inference_mode():
            geometry = (stride, padding, [1, 1], False, [0, 0], groups)
            return CONVOLVED(dy, x, w, None, *geometry, mask)

    def forward():
        with torch.inference_mode():
            return conv2d(x, w, None, stride, padding, 1, groups)

    calls = (
        forward,
        lambda: backward([True, False, False]),
        lambda: backward([False, True, False]),
    )
    return {
        which: lambda repeats, call=call: least(call, repeats)
        for which, call in zip(PASSES, calls)
    }
