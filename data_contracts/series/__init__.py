"""Identity of series: keys, ids, tenants, the catalogue and the one text form."""
