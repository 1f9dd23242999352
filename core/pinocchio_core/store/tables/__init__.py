"""The tables, one module for what one or two of them hold."""
