"""The notebook's cells as the agent sees and changes them.

Reading goes through the front end's own model where the front end has our extension (JupyterLab, Notebook
7), else through the saved file and what was run since. Changing goes through the front end alone: the file
is never written.
"""
