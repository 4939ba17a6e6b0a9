"""Fold each BatchNorm into the convolution before it: the same function with fewer steps."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold, in place, each BatchNorm that directly follows a convolution in a ``Sequential``.

    A BatchNorm after an activation (as in U-Net) stays. It could only be folded into the next
    convolution, and that would change the effect of zero padding at the border.

    Args:
        network: in evaluation mode, with plain or transposed convolutions.

    Returns:
        The same network.
    """
    for chain in network.modules():
        if not isinstance(chain, nn.Sequential):
            continue
        for i in range(len(chain) - 1):
            conv, norm = chain[i], chain[i + 1]
            if not isinstance(norm, nn.BatchNorm2d):
                continue
            if isinstance(conv, nn.Conv2d):
                chain[i] = fuse_conv_bn_eval(conv, norm)
            elif isinstance(conv, nn.ConvTranspose2d):
                chain[i] = fuse_conv_bn_eval(conv, norm, transpose=True)
            else:
                continue
            chain[i + 1] = nn.Identity()
    return network
