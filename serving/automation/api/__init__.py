"""HTTP API of plans, runs, the switch and what is earned; approvals by token, or by a link that holds once."""
