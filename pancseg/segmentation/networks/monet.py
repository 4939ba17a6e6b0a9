"""Define MoNet, the multi-scale encoder-decoder of arXiv 2009.00872.

Built from the paper's description and its published parameter count (403,556 as Keras counts:
weights plus BatchNorm's running statistics). Where the defaults of Keras and torch differ, those of
Keras are used: BatchNorm with eps 1e-3 and momentum 0.99 (0.01 in torch's convention), He-uniform
initialisation, "same" padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DROPOUT = 0.2


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return BatchNorm with Keras's constants."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class ConvBlock(nn.Sequential):
    """Convolution without bias, BatchNorm, ELU; keeps H and W, or halves them with ``stride=2``."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1
    ) -> None:
        padding = dilation * (kernel - 1) // 2
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
            batch_norm(outputs),
            nn.ELU(inplace=True),
        )


class UpBlock(nn.Sequential):
    """4×4 transposed convolution with stride 2 that keeps the channel count, BatchNorm, ELU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False),
            batch_norm(channels),
            nn.ELU(inplace=True),
        )


class RDDC(nn.Module):
    """Repeated decreasing dilation: dilations 4, 3, 2, 1 with short connections and dropout.

    The authors' code returned ``x + c4`` until the end of January 2021 and ``b1(c2 + c3)`` from
    then on. This is the later version; which one made the paper's table is unknown.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(channels, channels, dilation=d) for d in (4, 3, 2, 1))
        self.drop = nn.Dropout2d(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        first = self.drop(self.blocks[0](x))
        second = self.drop(self.blocks[1](x + first))
        third = self.drop(self.blocks[2](second))
        out: Tensor = self.blocks[3](second + third)
        return out


class MoNet(nn.Module):
    """MoNet with 16 filters at full resolution and two halvings (arXiv 2009.00872, figure 1).

    Input ``(N, 1, H, W)`` float, intensities scaled to 0..1, H and W divisible by 4.
    Output ``(N, 1, H, W)``: the logit of "pancreas"; its sigmoid is the paper's output.

    Example:
        >>> import torch
        >>> from pancseg import MoNet
        >>> MoNet().eval()(torch.zeros(1, 1, 64, 64)).shape
        torch.Size([1, 1, 64, 64])
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder1 = nn.Sequential(ConvBlock(1, 16), RDDC(16))
        self.down1 = ConvBlock(16, 16, kernel=4, stride=2)
        self.encoder2 = nn.Sequential(ConvBlock(16, 32), RDDC(32))
        self.down2 = ConvBlock(32, 32, kernel=4, stride=2)
        self.bottleneck = nn.Sequential(ConvBlock(32, 64), RDDC(64))
        self.up2 = UpBlock(64)
        self.decoder2 = nn.Sequential(ConvBlock(32 + 64, 32), RDDC(32))
        self.up1 = UpBlock(32)
        self.decoder1 = nn.Sequential(ConvBlock(16 + 32, 16), RDDC(16))
        self.head = nn.Sequential(nn.Conv2d(16, 1, 1, bias=False), batch_norm(1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the same height and width as the input."""
        skip1 = self.encoder1(x)
        skip2 = self.encoder2(self.down1(skip1))
        deep = self.bottleneck(self.down2(skip2))
        middle = self.decoder2(torch.cat([skip2, self.up2(deep)], dim=1))
        fine = self.decoder1(torch.cat([skip1, self.up1(middle)], dim=1))
        logits: Tensor = self.head(fine)
        return logits
