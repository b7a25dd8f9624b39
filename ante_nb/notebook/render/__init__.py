"""Showing a turn: made safe, in few outputs, updated cheaply."""
