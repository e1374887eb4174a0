"""What models are made, stored and known as."""
