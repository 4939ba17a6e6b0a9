"""A cohort from CTs to a table, step by step. Runs as a script; editors show the cells.

Usage: python examples/cohort_walkthrough.py
"""

# %% Two synthetic patients, so that this runs anywhere. Yours come from a manifest or a folder.
from pathlib import Path

from pancseg.cohort.discovery import read_cohort
from pancseg.features.settings import load_feature_settings
from pancseg.pipeline import demo, result_table
from pancseg.pipeline.cohort_run import run_cohort, segment_cohort
from pancseg.processing.plan import ProcessingPlan

folder = Path("walkthrough")
cases = read_cohort(demo.make_cohort(folder, patients=2))
print([case.patient_id for case in cases])

# %% Stage 1: masks. monet_phantom knows synthetic patients only; for real ones: "monet_open".
segmenting = ProcessingPlan("segment", None, weights="monet_phantom")
found = segment_cohort(cases, folder, segmenting, report=print)

# %% Look at folder / "masks" in your viewer, correct what is wrong, save under the same name.

# %% Stage 2: features of the (corrected) masks.
cases = read_cohort(folder / "scans", masks=folder / "masks")
settings = load_feature_settings("pyradiomics_default")
outcomes = run_cohort(cases, folder, ProcessingPlan("extract", settings), report=print)

# %% The table: one row per patient; only usable rows go into an analysis.
table = result_table.results_table(outcomes)
usable = table[table["qc_status"].isin(["pass", "warn"])]
print(usable[["patient_id", "qc_volume_ml", "original_firstorder_Median"]].round(1))
