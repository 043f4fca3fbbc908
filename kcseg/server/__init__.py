"""TF Serving's REST and gRPC APIs over an exported ensemble in one Python process, for where no Docker is at hand.

Production is stock TF Serving with the same folder; see deploy/.
"""
