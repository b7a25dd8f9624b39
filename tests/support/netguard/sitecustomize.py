"""Installs the network guard in every Python process that a test starts."""

import netguard

netguard.install()
