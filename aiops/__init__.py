"""Pure AIOps domain: no I/O, no clock, no environment; time and randomness are arguments."""
