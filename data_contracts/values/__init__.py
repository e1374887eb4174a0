"""Values of columns: coerced, timed, checked, counted; compiled loops over them."""
