"""The learning curve: ``metrics.csv`` → a picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pancseg.export import whole_files

BLUE, ORANGE = "#0072B2", "#D55E00"


def draw_curve(metrics: Path, picture: Path) -> None:
    """Draw the losses and the validation Dice over the epochs as a PNG."""
    table = pd.read_csv(metrics)
    epochs = table["epoch"] + 1
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, overlap = figure.subplots(1, 2)
    losses.plot(epochs, table["train_loss"], ".-", color=BLUE, label="training")
    losses.plot(epochs, table["val_loss"], ".-", color=ORANGE, label="validation")
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend(frameon=False)
    overlap.plot(epochs, table["val_dice"], ".-", color=ORANGE)
    overlap.set(xlabel="epoch", ylabel="validation Dice, mean over patients", ylim=(0, 1))
    for panel in (losses, overlap):
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.3)
    with whole_files([picture]) as partial:
        figure.savefig(partial[picture], format="png", dpi=120)
