"""The BentoML service: scoring over HTTP and gRPC in one process on the same loaded models."""
