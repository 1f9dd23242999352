"""The plugin host: finds plugins, loads them, attributes every fault, and freezes what they contribute."""
