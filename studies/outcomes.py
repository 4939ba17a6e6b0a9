"""What `pancseg model` says where the truth is known: noise, signal, volume, site, and its cost.

    python studies/outcomes.py noise subtype|survival [SEEDS] [REPEATS]
    python studies/outcomes.py leak [SEEDS]
    python studies/outcomes.py planted|volume|site subtype|survival [SEEDS]
    python studies/outcomes.py time subtype|survival [PATIENTS] [FEATURES]

``noise``: 100 patients, 500 features without meaning: mean of AUC or C and how often the 95 %
interval holds 0.5. ``leak``: 100 patients, 1,500 features of noise, selected on all patients and
within the folds. ``planted``: C or AUC against that of who knows the true risk. ``volume`` and
``site``: what the report says where only volume, or only the scanner, goes with the outcome.
How often sentences are said, and intervals hold the truth, is for ``outcome_intervals.py``.
``time``: the whole command on 400 × 1,300: wall time, CPU time (which other work on the machine
hardly changes), and peak memory of all of its processes together and of the largest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from pancseg.modelling.analysis.analyse import analyse
from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.model_measures import by_fold, measured
from pancseg.modelling.cross_validation.nested_cv import validate
from pancseg.modelling.cross_validation.plan import ValidationPlan, only
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.cox_solver import score_test
from pancseg.modelling.estimators.preparation import Strongest
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import RADIOMICS, make_study
from pancseg.modelling.validation.canary import discrimination
from pancseg.modelling.validation.measures import (
    bootstrap_weights,
    estimate,
    harrell_pairs,
    pair_measure,
)
from pancseg.system.threads import available_cores


def joined(x: np.ndarray, volume: np.ndarray | None = None, batch: object = None) -> JoinedTable:
    """Return a cohort of numbers."""
    index = pd.Index([f"P{i:04}" for i in range(len(x))])
    nothing = pd.DataFrame(index=index)
    return JoinedTable(
        features=pd.DataFrame(x, index=index, columns=[f"f{j}" for j in range(x.shape[1])]),
        clinical=nothing,
        volume=nothing if volume is None else pd.DataFrame({"volume": volume}, index=index),
        outcomes=nothing,
        groups=np.asarray(index),
        batch=None if batch is None else np.asarray(batch, dtype=str),
    )


def outcome(kind: str, risk: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return classes or times whose log odds or log hazards are ``risk``."""
    if kind == "subtype":
        return np.asarray(random.logistic(size=len(risk)) < risk).astype(int)
    death, censored = random.exponential(np.exp(-risk)), random.exponential(1.5, len(risk))
    return survival_outcome(death < censored, np.minimum(death, censored))


def study_of(
    cohort: JoinedTable, kind: str, y: np.ndarray, seed: int, repeats: int
) -> ValidationPlan:
    """Return the study that the command would do."""
    settings = ModelSettings(kind=kind, repeats=repeats, seed=seed)  # type: ignore[arg-type]
    return make_study(cohort, Endpoint(kind, y, ("outcome",)), settings)  # type: ignore[arg-type]


def noise(kind: str, seeds: int = 200, repeats: int = 1) -> None:
    """Print the mean measure on noise, and how often its interval holds 0.5."""
    name, found = main_measure(kind), []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        x = random.normal(size=(100, 500))
        y = outcome(kind, np.zeros(100), random)
        study = only(study_of(joined(x), kind, y, seed, repeats), RADIOMICS)
        validation = validate(study, 1)
        weights = bootstrap_weights(study.groups, 1000, seed)
        values = measured(study, validation, RADIOMICS, weights, kind)[name]
        folds = by_fold(study, validation, RADIOMICS, kind)[name]
        found.append(estimate(values, folds, study.outer))
        if (seed + 1) % 20 == 0:
            value, low, high = np.array([[e.value, e.low, e.high] for e in found]).T
            print(
                f"{kind}, noise, {seed + 1} seeds, {repeats} repeats: mean {name} "
                f"{value.mean():.4f} ± {value.std(ddof=1):.4f}, interval holds 0.5 in "
                f"{((low <= 0.5) & (high >= 0.5)).mean():.1%}",
                flush=True,
            )


def leak(seeds: int = 10) -> None:
    """Print Harrell's C on noise, selected outside and inside the folds."""
    inside, outside = [], []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        x = random.normal(size=(100, 1500))
        y = outcome("survival", np.zeros(100), random)
        chosen = Strongest(score_test, 10).fit(x, y).transform(x)
        for values, found in ((x, inside), (chosen, outside)):
            study = only(study_of(joined(values), "survival", y, seed, 1), RADIOMICS)
            found.append(discrimination(study, validate(study, available_cores()), RADIOMICS))
    print(
        f"Harrell's C of noise, {seeds} seeds: selection outside the folds "
        f"{np.mean(outside):.3f}, inside {np.mean(inside):.3f}"
    )


def planted(kind: str, seeds: int = 10) -> None:
    """Print the measure beside the one of the true risk, 300 patients, 200 features."""
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        x = random.normal(size=(300, 200))
        risk = 1.5 * x[:, 0]
        y = outcome(kind, risk, random)
        study = only(study_of(joined(x), kind, y, seed, 1), RADIOMICS)
        found = discrimination(study, validate(study, available_cores()), RADIOMICS)
        pairs = harrell_pairs(y) if kind == "survival" else np.outer(y == 1, y == 0).astype(float)
        oracle = pair_measure([(np.arange(300), risk, pairs)], np.ones((1, 300)))[0]
        print(f"{kind}, planted, seed {seed}: {found:.3f}, oracle {oracle:.3f}", flush=True)


def volume(kind: str, seeds: int = 5) -> None:
    """Print the verdict where the outcome goes with volume, which most features measure too."""
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        size = random.normal(size=200)
        x = size[:, None] * random.uniform(0, 1, 60) + random.normal(size=(200, 60))
        y = outcome(kind, 1.2 * size, random)
        _say_verdict(joined(x, np.exp(4 + 0.3 * size)), kind, y, seed)


def site(kind: str, seeds: int = 5) -> None:
    """Print the measure with and without ComBat where only the scanner goes with the outcome."""
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        scanner = np.arange(200) % 2
        x = random.normal(size=(200, 60)) + scanner[:, None] * random.normal(1.0, 0.3, 60)
        y = outcome(kind, 2.0 * (scanner - 0.5), random)
        told = []
        for batch in (None, np.where(scanner, "A", "B")):
            study = only(study_of(joined(x, batch=batch), kind, y, seed, 1), RADIOMICS)
            told.append(discrimination(study, validate(study, available_cores()), RADIOMICS))
        print(f"{kind}, site, seed {seed}: {told[0]:.3f}, with ComBat {told[1]:.3f}", flush=True)


def _say_verdict(cohort: JoinedTable, kind: str, y: np.ndarray, seed: int) -> None:
    settings = ModelSettings(kind=kind, repeats=2, canary=0, seed=seed)  # type: ignore[arg-type]
    study = study_of(cohort, kind, y, seed, 2)
    print(f"seed {seed}:", *analyse(study, settings, available_cores()).verdict, flush=True)


def cost(kind: str, patients: int = 400, features: int = 1300) -> None:
    """Print time and peak memory of the command, 5×5 nested and 5 repeats as by default."""
    random = np.random.default_rng(0)
    base = random.normal(size=(patients, features // 5))
    x = np.hstack([base + 0.4 * random.normal(size=base.shape) for _ in range(5)])[:, :features]
    y = outcome(kind, base[:, 0], random)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = pd.DataFrame(x, columns=[f"f{j}" for j in range(x.shape[1])])
        table.insert(0, "patient_id", [f"P{i:04}" for i in range(patients)])
        table["original_shape_MeshVolume"] = np.exp(4 + 0.3 * base[:, 1])
        table.to_csv(folder / "features.csv", index=False)
        clinical = table[["patient_id"]].assign(age=random.normal(65, 9, patients).round())
        if kind == "subtype":
            clinical["label"] = y
            told = ["--label", "label"]
        else:
            clinical["time"], clinical["event"] = y["time"], y["event"].astype(int)
            told = ["--time", "time", "--event", "event"]
        clinical.to_csv(folder / "clinical.csv", index=False)
        words = [sys.executable, "-m", "pancseg", "model", kind, str(folder / "features.csv")]
        words += ["--outcome", str(folder / "clinical.csv"), *told, "--clinical", "age", "--quiet"]
        began = time.perf_counter()
        with subprocess.Popen([*words, "--out", str(folder / "out")]) as process:
            used = _Used()
            watch = threading.Thread(target=_watch, args=(process.pid, used))
            watch.start()
            code = process.wait()
            watch.join()
        seconds = time.perf_counter() - began
        print(
            json.dumps(
                {
                    "command": f"model {kind}",
                    "patients": patients,
                    "features": x.shape[1],
                    "exit": code,
                    "seconds": round(seconds),
                    "cpu_seconds": round(sum(used.cpu_seconds.values())),
                    "peak_mb": round(used.together_mb),
                    "peak_mb_of_one": round(used.largest_mb),
                    "cores": available_cores(),
                }
            )
        )


@dataclass
class _Used:
    """What a process and its children used: CPU time of each, memory that they alone hold."""

    cpu_seconds: dict[int, float] = field(default_factory=dict)
    together_mb: float = 0.0
    largest_mb: float = 0.0


def _watch(pid: int, used: _Used) -> None:
    """Keep what the process and its children use, until it ends."""
    try:
        parent = psutil.Process(pid)
        while parent.status() != psutil.STATUS_ZOMBIE:
            total = 0.0
            for process in (parent, *parent.children(recursive=True)):
                try:
                    spent, held = process.cpu_times(), process.memory_full_info().uss / 1e6
                except psutil.Error:
                    continue
                used.cpu_seconds[process.pid] = spent.user + spent.system
                used.largest_mb = max(used.largest_mb, held)
                total += held
            used.together_mb = max(used.together_mb, total)
            time.sleep(0.2)
    except psutil.NoSuchProcess:
        return


_COMMANDS = {
    "noise": noise, "leak": leak, "planted": planted, "volume": volume, "site": site, "time": cost,
}  # fmt: skip

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in _COMMANDS:
        raise SystemExit(__doc__)
    _COMMANDS[sys.argv[1]](*(int(w) if w.isdigit() else w for w in sys.argv[2:]))
