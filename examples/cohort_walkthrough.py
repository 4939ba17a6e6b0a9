"""A cohort from CTs to a table, step by step. Runs as a script; editors show the cells.

Usage: python examples/cohort_walkthrough.py
"""

# %% Two synthetic patients, so that this runs anywhere. Yours come from a manifest or a folder.
from pathlib import Path

import pancseg

folder = Path("walkthrough")
(folder / "scans").mkdir(parents=True, exist_ok=True)
for seed in (1, 2):
    patient = pancseg.phantom.make_phantom(seed)
    pancseg.write_scan(patient.image, folder / "scans" / f"phantom_{seed:02}.nii.gz")
print([case.patient_id for case in pancseg.read_cohort(folder / "scans")])

# %% Stage 1: masks. monet_phantom knows synthetic patients only; for real ones leave it out.
pancseg.segment_cohort(folder / "scans", folder, weights="monet_phantom", report=print)

# %% Look at folder / "masks" in your viewer, correct what is wrong, save under the same name.

# %% Stage 2: features of the (corrected) masks.
results = pancseg.extract_cohort(
    folder / "scans", folder, masks=folder / "masks", settings="pyradiomics_default", report=print
)

# %% The table: one row per patient; only usable rows go into an analysis.
table = pancseg.results_table(results)
usable = table[table["qc_status"].isin(["pass", "warn"])]
print(usable[["patient_id", "qc_volume_ml", "original_firstorder_Median"]].round(1))
