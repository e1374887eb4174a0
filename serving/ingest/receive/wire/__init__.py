"""Bodies of remote write and OTLP into columns: no I/O, no clock, no state but buffers."""
