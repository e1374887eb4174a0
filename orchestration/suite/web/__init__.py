"""Web servers of others, run as they are, with a guard before them that keeps pages of other sites out."""
