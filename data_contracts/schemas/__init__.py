"""Arrow schemas of every table, the catalogue of metrics, and the feature views built of them."""
