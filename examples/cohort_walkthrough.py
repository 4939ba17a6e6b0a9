"""A cohort from CTs to a table, step by step. Runs as a script; editors show the cells.

Usage: python examples/cohort_walkthrough.py
"""

# %% Two synthetic patients, so that this runs anywhere. Yours come from a manifest or a folder.
from pathlib import Path

from pancseg import demo, pipeline
from pancseg.cohort import read_cohort
from pancseg.settings import load_feature_settings
from pancseg.work import Work

folder = Path("walkthrough")
cases = read_cohort(demo.make_cohort(folder, patients=2))
print([case.patient_id for case in cases])

# %% Stage 1: masks. monet_phantom knows synthetic patients only; for real ones: "monet_open".
segmenting = Work("segment", None, weights="monet_phantom")
found = pipeline.segment_cohort(cases, folder, segmenting, report=print)

# %% Look at folder / "masks" in your viewer, correct what is wrong, save under the same name.

# %% Stage 2: features of the (corrected) masks.
cases = read_cohort(folder / "scans", masks=folder / "masks")
settings = load_feature_settings("pyradiomics_default")
outcomes = pipeline.run_cohort(cases, folder, Work("extract", settings), report=print)

# %% The table: one row per patient; only usable rows go into an analysis.
table = pipeline.table(outcomes)
usable = table[table["qc_status"].isin(["pass", "warn"])]
print(usable[["patient_id", "qc_volume_ml", "original_firstorder_Median"]].round(1))
