"""Featlas tells what the features of a sparse autoencoder (SAE) mean."""

__version__ = "0.1.0"
