"""What signing left and what a verification found."""

from typing import Any, Literal

from molehunt.records.base import Record

How = Literal["key", "certificate", "sigstore"]
Verified = Literal["verified", "tampered", "wrong signature", "not verifiable"]
"""Tampered: signed by who was asked for, and the files are others. Not verifiable: nothing says that it is wrong, or right."""


class SignerSeen(Record):
    """Who signed; believed only in a verification that came out well."""

    how: How
    key_id: str = ""
    """SHA-256 of the DER public key, in hex."""
    name: str = ""
    """A certificate's subject, or the identity that Sigstore vouches for."""
    provider: str = ""
    """URL of who says that it is theirs; with Sigstore alone."""

    @property
    def who(self) -> str:
        """In words."""
        name = self.name or (f"key {self.key_id[:16]}" if self.key_id else self.how)
        return f"{name} (says {self.provider})" if self.provider else name


class Signed(Record):
    """What signing made."""

    path: str
    signature: str
    """Where the signature lies."""
    root_digest: str
    """The model's identity, and the digest of the signature's subject."""
    files: int
    bytes: int
    signer: SignerSeen


class FileChange(Record):
    """One file that is not as it was signed."""

    name: str
    """POSIX path in the folder."""
    what: Literal["changed", "missing", "not signed", "renamed"]
    told: str = ""
    """What kind of file it is, or where it went."""


class VerifyReport(Record):
    """Whether files are as somebody signed them."""

    path: str
    signature: str
    outcome: Verified
    reason: str = ""
    """Why it is not verified, in one sentence."""
    root_digest: str | None = None
    """Of the files as they are; None if they were not read."""
    signed_digest: str | None = None
    """Root digest that the signature names; equal to the other one if all is well and whole files were signed with SHA-256."""
    signer: SignerSeen | None = None
    changes: tuple[FileChange, ...] = ()
    tolerated: tuple[str, ...] = ()
    """Files that are not signed and were let be: documentation, and only if that was asked for."""
    files: int = 0
    bytes: int = 0

    @property
    def is_verified(self) -> bool:
        """All files are as signed, by who was asked for."""
        return self.outcome == "verified"

    def sentence(self) -> str:
        """The outcome in one line."""
        if self.is_verified:
            return f"{self.path}: verified: {self.files} files as signed by {self.signer.who if self.signer else ''}"
        return f"{self.path}: {self.outcome}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return self.model_dump(mode="json")
