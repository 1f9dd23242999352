"""Copies of a whole database: made, verified, and put in its place."""
