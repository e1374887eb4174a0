"""HTTP API of the responder. Routes only: what they do is elsewhere, behind the ports of `parts`."""
