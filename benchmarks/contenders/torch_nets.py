"""The networks in PyTorch, with the layers, strides and joints of TF-Slim's."""

import torch
from images import CLASSES
from torch import nn


class Joined(nn.Module):
    """Branches side by side, their channels joined."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        """Return all branches' maps."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def normed(a, b, kernel, stride=1, groups=1, valid=False, act=nn.ReLU):
    """Return a convolution, its batch norm and activation."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (0, 0) if valid else tuple(k // 2 for k in kernel)
    layers = [
        nn.Conv2d(a, b, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(b),
    ]
    return nn.Sequential(*layers, *([act(inplace=True)] if act else []))


def plain(a, b, kernel, stride=1, padding=0):
    """Return a convolution with biases, activated."""
    return [nn.Conv2d(a, b, kernel, stride, padding), nn.ReLU(inplace=True)]


def alexnet_v2(size):
    """One tower."""
    return nn.Sequential(
        *plain(3, 64, 11, 4),
        nn.MaxPool2d(3, 2),
        *plain(64, 192, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *plain(192, 384, 3, padding=1),
        *plain(384, 384, 3, padding=1),
        *plain(384, 256, 3, padding=1),
        nn.MaxPool2d(3, 2),
        *plain(256, 4096, 5),
        nn.Dropout(0.5),
        *plain(4096, 4096, 1),
        nn.Dropout(0.5),
        nn.Conv2d(4096, CLASSES, 1),
        nn.Flatten(),
    )


def vgg_16(size):
    """Thirteen convolutions of 3×3."""
    layers, a = [], 3
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += plain(a, filters, 3, padding=1)
            a = filters
        layers += [nn.MaxPool2d(2)]
    layers += [*plain(512, 4096, 7), nn.Dropout(0.5)]
    layers += [*plain(4096, 4096, 1), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Conv2d(4096, CLASSES, 1), nn.Flatten())


class Bottleneck(nn.Module):
    """A unit of a residual network; the stride is that of its 3×3 convolution."""

    def __init__(self, a, b, stride):
        super().__init__()
        self.residual = nn.Sequential(
            normed(a, b, 1), normed(b, b, 3, stride), normed(b, 4 * b, 1, act=None)
        )
        self.shortcut = nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity()
        if a != 4 * b:
            self.shortcut = normed(a, 4 * b, 1, stride, act=None)

    def forward(self, x):
        """Return the sum, activated."""
        return torch.relu_(self.residual(x) + self.shortcut(x))


def resnet_v1_50(size):
    """Fifty layers; a block's last unit has its stride."""
    layers, a = [normed(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for b, count, stride in ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1)):
        for i in range(count):
            layers += [Bottleneck(a, b, stride if i == count - 1 else 1)]
            a = 4 * b
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(a, CLASSES, 1), nn.Flatten()
    )


def mobilenet_v1(size):
    """Thirteen pairs of depthwise and 1×1 convolutions."""
    layers, a = [normed(3, 32, 3, 2, act=nn.ReLU6)], 32
    filters = (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    for b, stride in zip(filters, strides):
        layers += [normed(a, a, 3, stride, groups=a, act=nn.ReLU6)]
        layers += [normed(a, b, 1, act=nn.ReLU6)]
        a = b
    return nn.Sequential(
        *layers,
        nn.AvgPool2d(size // 32),
        nn.Dropout(0.001),
        nn.Conv2d(a, CLASSES, 1),
        nn.Flatten(),
    )


def row(a, *layers):
    """Return normed convolutions one behind the other."""
    made = []
    for b, kernel, *more in layers:
        stride, valid = (more[0], True) if more else (1, False)
        made += [normed(a, b, kernel, stride, valid=valid)]
        a = b
    return nn.Sequential(*made)


def pooled(a, b):
    """Return a mean of 3×3 and a 1×1 convolution behind it."""
    mean = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return nn.Sequential(mean, normed(a, b, 1))


def _module_35(a, b):
    return Joined(
        row(a, (64, 1)),
        row(a, (48, 1), (64, 5)),
        row(a, (64, 1), (96, 3), (96, 3)),
        pooled(a, b),
    )


def _module_17(b):
    wide, high = (1, 7), (7, 1)
    return Joined(
        row(768, (192, 1)),
        row(768, (b, 1), (b, wide), (192, high)),
        row(768, (b, 1), (b, high), (b, wide), (b, high), (192, wide)),
        pooled(768, 192),
    )


def _module_8(a):
    def both():
        return Joined(row(384, (384, (1, 3))), row(384, (384, (3, 1))))

    return Joined(
        row(a, (320, 1)),
        nn.Sequential(row(a, (384, 1)), both()),
        nn.Sequential(row(a, (448, 1), (384, 3)), both()),
        pooled(a, 192),
    )


def inception_v3(size):
    """Without its second classifier."""
    wide, high = (1, 7), (7, 1)
    return nn.Sequential(
        row(3, (32, 3, 2), (32, 3, 1), (64, 3)),
        nn.MaxPool2d(3, 2),
        row(64, (80, 1, 1), (192, 3, 1)),
        nn.MaxPool2d(3, 2),
        _module_35(192, 32),
        _module_35(256, 64),
        _module_35(288, 64),
        Joined(
            row(288, (384, 3, 2)),
            row(288, (64, 1), (96, 3), (96, 3, 2)),
            nn.MaxPool2d(3, 2),
        ),
        _module_17(128),
        _module_17(160),
        _module_17(160),
        _module_17(192),
        Joined(
            row(768, (192, 1), (320, 3, 2)),
            row(768, (192, 1), (192, wide), (192, high), (192, 3, 2)),
            nn.MaxPool2d(3, 2),
        ),
        _module_8(1280),
        _module_8(2048),
        nn.AvgPool2d(8),
        nn.Dropout(0.2),
        nn.Conv2d(2048, CLASSES, 1),
        nn.Flatten(),
    )
