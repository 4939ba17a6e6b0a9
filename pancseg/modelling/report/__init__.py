"""The report of a modelling study: text, figures, checklist."""
