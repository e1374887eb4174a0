"""The responder process: desks of all tenants, their rounds, the API beside them."""
