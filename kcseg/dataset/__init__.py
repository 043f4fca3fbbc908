"""From files to training batches: formats, challenge folders, the simulated challenge, augmentation."""
