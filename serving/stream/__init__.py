"""Streams: the broker, its entries, who consumes them."""
