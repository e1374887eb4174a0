"""`aiops run`: the whole loop once, its figures and its report."""
