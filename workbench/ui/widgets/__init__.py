"""The widgets the panels are made of; each usable on its own in a notebook."""
