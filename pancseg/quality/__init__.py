"""Judge scans and regions: pass, warn or fail."""
