"""Service vectors as rows, their truth, the page budget, calibration, splits in time."""
