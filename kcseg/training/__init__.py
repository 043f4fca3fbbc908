"""Training one network, and the seven members."""
