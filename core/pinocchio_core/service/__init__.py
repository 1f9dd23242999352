"""The use cases: what a request means, checked and carried out. Knows no HTTP."""
