"""`aiops bench`: each detector, predictor and ranking measured on a public corpus or on seeds it was not fitted to."""
