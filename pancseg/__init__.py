"""pancseg: from portal-venous abdominal CT to pancreas masks to a table of radiomics features."""

__version__ = "0.1.0"
