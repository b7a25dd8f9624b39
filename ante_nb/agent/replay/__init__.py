"""Record and replay: the model's answers beside the notebook, so that running it again bills nothing.

An answer is known by the turn's node in the session tree and the number of its step: by what is asked and
what went before, never by time. Tools run again and pass the permissions like any call.
"""
