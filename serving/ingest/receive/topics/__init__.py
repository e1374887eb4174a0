"""Messages that others put into Kafka: raw OTLP and remote write, taken as bodies of requests are, each once."""
