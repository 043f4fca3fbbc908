"""The network and what follows it: U-Net, losses, largest component, median."""
