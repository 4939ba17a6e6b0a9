"""Read and join the feature table and the clinical file, and refuse what cannot be modelled."""
