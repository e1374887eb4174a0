"""Fixtures of the incident store's tests, one PostgreSQL server for all of them; started where a test asks for it."""

from tests.testing.store_databases import empty_url, migrated_database, migrated_file, postgres, store, url

__all__ = ["empty_url", "migrated_database", "migrated_file", "postgres", "store", "url"]
