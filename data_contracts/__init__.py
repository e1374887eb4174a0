"""Versioned Arrow schemas, validation, wire codec and expectation suites: what data must look like."""
