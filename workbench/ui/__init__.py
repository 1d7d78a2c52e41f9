"""The interactive workbench: panels over a session, in JupyterLab."""
