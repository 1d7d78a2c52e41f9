"""Versions of a deployed geometry in a calibration directory."""
