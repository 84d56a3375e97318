"""Frozen pretrained networks that methods build on, one file per source."""
