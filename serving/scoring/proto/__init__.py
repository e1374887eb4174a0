"""The gRPC contract: `scoring.proto` and the modules generated from it (`python -m serving.scoring.proto.regenerate`)."""
