"""Pictures of a scan and the contour of its mask: for the report's page, and for papers."""
