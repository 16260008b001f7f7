"""U-Net and ResNet in PyTorch: the networks of the demonstration models and of most fixtures."""

from __future__ import annotations

import torch
from torch import nn


def make_norm(kind: str, channels: int, groups: int = 4) -> nn.Module:
    """`kind` is one of batch, instance (affine, no running statistics), group, none."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "group":
        return nn.GroupNorm(groups, channels)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"unknown norm {kind!r}")


def make_activation(kind: str) -> nn.Module:
    """`kind` is one of relu, leaky_relu, elu, silu, gelu."""
    kinds = {
        "relu": nn.ReLU,
        "leaky_relu": lambda: nn.LeakyReLU(0.01),
        "elu": nn.ELU,
        "silu": nn.SiLU,
        "gelu": nn.GELU,
    }
    if kind not in kinds:
        raise ValueError(f"unknown activation {kind!r}")
    return kinds[kind]()


class ConvLayer(nn.Module):
    """3 × 3 convolution → norm → activation → dropout."""

    def __init__(self, inputs: int, outputs: int, norm: str, activation: str, dropout: float):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=norm == "none")
        self.norm = make_norm(norm, outputs)
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.activation(self.norm(self.conv(x))))


class ConvBlock(nn.Module):
    """`depth` convolution layers, the first of which changes the number of channels."""

    def __init__(self, inputs, outputs, depth, norm, activation, dropout):
        super().__init__()
        self.layers = nn.Sequential(
            *(
                ConvLayer(inputs if i == 0 else outputs, outputs, norm, activation, dropout)
                for i in range(depth)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class UpBlock(nn.Module):
    """Doubles the resolution, concatenates the skip connection in front, convolves."""

    def __init__(self, inputs, outputs, depth, norm, activation, dropout, up):
        super().__init__()
        if up == "transposed":
            self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        elif up in ("bilinear", "nearest"):
            self.up = nn.Sequential(
                nn.Upsample(scale_factor=2, mode=up), nn.Conv2d(inputs, outputs, 1)
            )
        else:
            raise ValueError(f"unknown up-sampling {up!r}")
        self.block = ConvBlock(2 * outputs, outputs, depth, norm, activation, dropout)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.block(torch.cat([skip, self.up(x)], dim=1))


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) with same-padding.

    `widths` are the channels per level, full resolution first. Input `[N, C, H, W]` with H and W
    divisible by 2^(levels − 1); output `[N, classes, H, W]`. With `deep_supervision`, training
    returns the list of full-resolution and auxiliary logits; evaluation returns the first only.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: list[int],
        convs_per_block: int = 2,
        norm: str = "batch",
        activation: str = "relu",
        up: str = "transposed",
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ):
        super().__init__()
        shared = (convs_per_block, norm, activation, dropout)
        self.encoder = nn.ModuleList(
            ConvBlock(inputs, outputs, *shared)
            for inputs, outputs in zip([in_channels, *widths], widths)
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            UpBlock(inputs, outputs, *shared, up)
            for inputs, outputs in zip(widths[:0:-1], widths[-2::-1])
        )
        self.head = nn.Conv2d(widths[0], out_channels, 1)
        if deep_supervision:
            self.auxiliary_heads = nn.ModuleList(
                nn.Conv2d(width, out_channels, 1) for width in widths[1:-1]
            )

    def forward(self, x: torch.Tensor):
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else self.pool(x))
            skips.append(x)
        features = []
        for block, skip in zip(self.decoder, skips[-2::-1]):
            x = block(x, skip)
            features.append(x)
        logits = self.head(x)
        if self.training and hasattr(self, "auxiliary_heads"):
            auxiliary = [head(f) for head, f in zip(self.auxiliary_heads, features[-2::-1])]
            return [logits, *auxiliary]
        return logits


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """1 × 1 projection where a block changes shape (option B of He et al. 2016)."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )


RESNETS = {
    18: (BasicBlock, [2, 2, 2, 2]),
    34: (BasicBlock, [3, 4, 6, 3]),
    50: (Bottleneck, [3, 4, 6, 3]),
}


class ResNet(nn.Module):
    """ResNet (He et al. 2016, https://arxiv.org/abs/1512.03385), torchvision's attribute names.

    `width` is the number of channels after the stem; 64 is the published network. Input
    `[N, C, H, W]`, output `[N, outputs]`: class logits or regressed values.
    """

    def __init__(self, depth: int, in_channels: int, outputs: int, width: int = 64):
        super().__init__()
        block, repeats = RESNETS[depth]
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        for stage, count in enumerate(repeats):
            blocks = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(channels, width << stage, stride))
                channels = (width << stage) * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, outputs)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Ensemble(nn.Module):
    """Runs every member on the same input and stacks the answers: `[M, N, …]`."""

    def __init__(self, members: list[nn.Module]):
        super().__init__()
        self.models = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([model(x) for model in self.models])
