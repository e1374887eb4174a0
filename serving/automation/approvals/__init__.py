"""How people learn of plans and approve them: notifications, and signed links that approve once."""
