"""Registries in files: planned, applied, written, and served as they are."""
