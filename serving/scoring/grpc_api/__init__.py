"""The scoring service over gRPC."""
