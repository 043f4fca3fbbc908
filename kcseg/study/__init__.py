"""Scores, figures and the report a person looks at."""
