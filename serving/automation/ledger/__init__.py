"""The run log in the incident store: plans, runs, what is held back, the switch."""
