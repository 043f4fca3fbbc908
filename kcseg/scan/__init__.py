"""A whole CT scan: read it, find the kidneys, segment their cortex, measure and write it."""
