"""What is sent to the suite: remote write and OTLP, over HTTP and gRPC."""
