"""The methods section of a report: one paragraph per file."""
