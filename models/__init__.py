"""Detectors, incident prediction, evaluation, training, promotion, drift and the model registry."""
