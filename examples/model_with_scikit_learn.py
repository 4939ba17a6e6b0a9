"""Read features.csv with its codebook and cross-validate a class with scikit-learn.

Usage: python model_with_scikit_learn.py features.csv codebook.csv clinical.csv label
"""

import sys

import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

features, codebook, clinical, label = sys.argv[1:]
as_text = {"converters": {"patient_id": str}}  # 007 and NA are ids
table = pd.read_csv(features, **as_text).query("qc_status in ['pass', 'warn']")
names = pd.read_csv(codebook).query("family not in ['id', 'quality', 'provenance']")["name"]
table = table[table["roi"] == table["roi"].iloc[0]]  # one region, if there are several
table = table.merge(pd.read_csv(clinical, **as_text), on="patient_id")
model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01))
scores = cross_val_score(
    model,
    table[names],
    table[label],
    groups=table["patient_id"],  # scans of one patient stay on one side
    cv=StratifiedGroupKFold(3),
    scoring="roc_auc",
)
patients = table["patient_id"].nunique()
print(f"{patients} patients, {len(names)} features, AUC {scores.mean():.2f}")
