"""Define U-Net and Attention U-Net, the baselines of arXiv 2009.00872.

Their published parameter counts (31,054,145 and 31,753,349 with 64 base filters, as Keras counts)
determine what the paper leaves open: convolutions with bias, BatchNorm after each ReLU, transposed
2×2 convolutions that halve the channels, and additive gates as wide as their level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pancseg.segmentation.networks.monet import batch_norm

LEVELS = 4


class DoubleConv(nn.Sequential):
    """Two 3×3 convolutions with bias, each followed by ReLU and BatchNorm; keeps H and W."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
            batch_norm(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
            batch_norm(outputs),
        )


class AttentionGate(nn.Module):
    """Additive gate: weights a skip connection by the features of the coarser level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_skip = nn.Conv2d(channels, channels, 1)
        self.of_signal = nn.Conv2d(channels, channels, 1)
        self.weight = nn.Conv2d(channels, 1, 1)

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Return ``skip`` with a weight of 0..1 per pixel; both inputs are ``(N, C, H, W)``."""
        combined = torch.relu(self.of_skip(skip) + self.of_signal(signal))
        return skip * torch.sigmoid(self.weight(combined))


class UNet(nn.Module):
    """U-Net with four halvings, with or without attention gates on its skip connections.

    Input ``(N, 1, H, W)`` float in 0..1, H and W divisible by 16; output ``(N, 1, H, W)`` logits.

    Args:
        base: filters at full resolution; doubled at each of the four halvings.
        attention: put a gate on each skip connection.
    """

    def __init__(self, base: int, *, attention: bool = False) -> None:
        super().__init__()
        widths = [base * 2**level for level in range(LEVELS + 1)]
        self.encoders = nn.ModuleList(
            DoubleConv(i, o) for i, o in zip([1, *widths[:-1]], widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        coarse_to_fine = widths[:-1][::-1]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in coarse_to_fine)
        self.gates = nn.ModuleList(AttentionGate(w) for w in coarse_to_fine if attention)
        self.decoders = nn.ModuleList(DoubleConv(2 * w, w) for w in coarse_to_fine)
        self.head = nn.Conv2d(base, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the same height and width as the input."""
        skips: list[Tensor] = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(x if level == 0 else self.pool(x))
            skips.append(x)
        skips.pop()
        for step, (up, decoder) in enumerate(zip(self.ups, self.decoders, strict=True)):
            x, skip = up(x), skips.pop()
            if self.gates:
                skip = self.gates[step](skip, x)
            x = decoder(torch.cat([skip, x], dim=1))
        logits: Tensor = self.head(x)
        return logits


def unet() -> UNet:
    """Build the paper's U-Net, with 64 base filters."""
    return UNet(64)


def attention_unet() -> UNet:
    """Build the paper's Attention U-Net, with 64 base filters."""
    return UNet(64, attention=True)


def unet16() -> UNet:
    """Build the small U-Net of the authors' later table, with 16 base filters."""
    return UNet(16)
