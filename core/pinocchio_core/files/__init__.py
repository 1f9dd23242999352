"""Profiles in files: YAML and JSON, read strictly and written so that people like to review it."""
