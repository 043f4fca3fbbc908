"""TF Serving's REST and gRPC APIs in one Python process, for where no Docker is at hand."""
