"""Make the table of inference times: statistics of the rounds, beside the published values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from pancseg.benchmark.inference import AS_WRITTEN, Setup
from pancseg.evaluation.markdown import number
from pancseg.tables.markdown_table import markdown_table

PUBLISHED_S = {
    "monet": (14.88, 0.32),
    "unet": (45.34, 1.77),
    "attention_unet": (53.30, 0.53),
    "unet16": (7.03, 0.21),
}
"""Mean and standard deviation, 150 slices of 256×256, N=5 (PLoS ONE 2021;16(8):e0255397, Table 1;
U-Net-16 from the authors' later table)."""

_TITLES = [
    "network", "engine", "precision", "seconds", "÷ MoNet", "t-test, p", "as written ÷ it",
    "GFLOP a slice", "GFLOP/s", "of the peak, %", "published, s", "published ÷ MoNet",
]  # fmt: skip


def times_frame(
    seconds: Mapping[Setup, Sequence[float]],
    slices: int,
    gflop: Mapping[str, float],
    peak: Mapping[tuple[str, str], float],
) -> pd.DataFrame:
    """Return one row per setup.

    Args:
        seconds: seconds of each round, per setup.
        slices: number of slices per round.
        gflop: operations per slice in 10⁹, for each network.
        peak: GFLOP/s of matrix products, for each engine and precision in which it is measured.

    Returns:
        Columns: the setup; ``mean_s``, ``std_s`` (N-1); ``ratio_to_monet`` in the same engine and
        precision with Student's unpaired ``t_test_p``, as published; ``speedup_over_as_written``
        for the same network; ``gflop_per_slice``, ``gflops``, ``share_of_peak``; and the
        published values.
    """
    rows = []
    for setup, spent in seconds.items():
        mean = float(np.mean(spent))
        monet = seconds.get(setup._replace(network="monet"))
        first = seconds.get(Setup(setup.network, AS_WRITTEN))
        rate = gflop[setup.network] * slices / mean
        published = PUBLISHED_S.get(setup.network, (np.nan, np.nan))
        rows.append(
            setup._asdict()
            | {
                "n": len(spent),
                "mean_s": mean,
                "std_s": float(np.std(spent, ddof=1)) if len(spent) > 1 else np.nan,
                "ratio_to_monet": mean / float(np.mean(monet)) if monet else np.nan,
                "t_test_p": _p(spent, monet) if setup.network != "monet" else np.nan,
                "speedup_over_as_written": float(np.mean(first)) / mean if first else np.nan,
                "gflop_per_slice": gflop[setup.network],
                "gflops": rate,
                "share_of_peak": rate / peak.get((setup.engine, setup.precision), np.nan),
                "published_mean_s": published[0],
                "published_std_s": published[1],
                "published_ratio_to_monet": published[0] / PUBLISHED_S["monet"][0],
            }
        )
    return pd.DataFrame(rows)


def _p(spent: Sequence[float], monet: Sequence[float] | None) -> float:
    if not monet or len(monet) < 2 or len(spent) < 2:
        return float("nan")
    return float(stats.ttest_ind(spent, monet).pvalue)


def markdown(frame: pd.DataFrame) -> str:
    """Return the table as Markdown."""
    rows = []
    for row in frame.to_dict("records"):
        p = row["t_test_p"]
        rows.append(
            [
                str(row["network"]),
                str(row["engine"]),
                str(row["precision"]),
                f"{number(row['mean_s'], 2)} ± {number(row['std_s'], 2)}",
                number(row["ratio_to_monet"], 2),
                "–" if pd.isna(p) else f"{p:.1e}",
                number(row["speedup_over_as_written"], 2),
                number(row["gflop_per_slice"], 1),
                number(row["gflops"], 0),
                number(100 * row["share_of_peak"], 0),
                f"{number(row['published_mean_s'], 2)} ± {number(row['published_std_s'], 2)}",
                number(row["published_ratio_to_monet"], 2),
            ]
        )
    return markdown_table(_TITLES, rows, left=3)


def against_fp32(frame: pd.DataFrame) -> str:
    """Return lines of text for each row in another precision whose network ran in fp32 too.

    Where it did so in other engines alone (with a GPU, ``auto`` is another in int8), there is a
    line for each of them, which it names; not for the network as first written.

    Args:
        frame: as from :func:`times_frame`.
    """
    exact: dict[str, dict[str, float]] = {}
    for row in frame[frame["precision"] == "fp32"].to_dict("records"):
        exact.setdefault(row["network"], {})[row["engine"]] = row["mean_s"]
    lines = ""
    for row in frame[frame["precision"] != "fp32"].to_dict("records"):
        found = exact.get(row["network"], {})
        own = row["engine"]
        others = [own] if own in found else [each for each in found if each != AS_WRITTEN]
        for engine in others:
            times = number(found[engine] / row["mean_s"], 2)
            than = "fp32" if engine == own else f"{engine} fp32"
            lines += (
                f"{row['network']}, {own} {row['precision']}: {times} times as fast as {than}.\n"
            )
    return lines
