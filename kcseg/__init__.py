"""kcseg finds the renal cortex in coronal CT with an ensemble of seven U-Nets."""

__version__ = "0.1.0"
