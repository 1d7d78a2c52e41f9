"""LCLS-I XTC files: datagrams, CSPAD objects, streams merged into events.

The layouts are those of the LCLS data-acquisition headers (public repositories
``lcls-psana/pdsdata`` and ``lcls-psana/psddldata``); the order of events is that of psana
(``lcls-psana/XtcInput``, ``lcls-psana/PSXtcInput``).
"""
