"""Every engine in ENGINES gives the probabilities of the plain network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.segmentation.engines import ENGINES


@pytest.mark.parametrize("name", ENGINES)
def test_engine_agrees_with_eager_torch(name: str) -> None:
    checkpoint = load_checkpoint("monet_phantom")
    slices = np.random.default_rng(0).random((3, 64, 64), dtype=np.float32)
    with torch.no_grad():
        logits = checkpoint.build()(torch.from_numpy(slices)[:, None])
    expected = torch.sigmoid(logits)[:, 0].numpy()
    found = ENGINES[name](checkpoint, 1)(slices)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
