"""Telling others of changes."""
