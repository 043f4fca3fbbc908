"""The trained ensemble as one SavedModel, and the runner that asks it."""
