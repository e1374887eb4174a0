"""Log templates, mined from a stream of lines in bounded memory."""
