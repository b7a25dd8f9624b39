"""Keys, sign-ins and where they are stored."""

from ante_nb.providers.auth.keys import Credential, CredentialSource, KeyRing, KeyStore, SignIns, check_key

__all__ = ["Credential", "CredentialSource", "KeyRing", "KeyStore", "SignIns", "check_key"]
