"""The incident store: everything the responder knows, in one SQL database."""
