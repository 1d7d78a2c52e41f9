"""Realistic data with a known truth: powder physics, sensor model, XTC writer, a whole experiment.

A side wing: only the command line, tests and benchmarks import it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
