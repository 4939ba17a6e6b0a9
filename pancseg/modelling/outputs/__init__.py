"""The files of an analysis: report, predictions, performance, settings and the saved model."""
