"""Models and transformations with scikit-learn's interface."""
