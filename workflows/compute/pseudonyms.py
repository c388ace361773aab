"""Names of people that tell nothing without a secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

N_SIGNS = 10
LEAST_SECRET = 16
PERSON = re.compile(r"sub-([A-Za-z0-9+]+)")
PLACE = re.compile(r"(?:file://)?(?<![\w.])/(?:[^/\s:;,'\"]+/)+([^/\s:;,'\"]*)")


def pseudonyms(labels: Iterable[str], secret: bytes) -> dict[str, str]:
    """Pseudonym of each label: always the same with the same secret, not to be found without.

    It is the beginning of HMAC-SHA256 of the label, in letters and digits that BIDS allows.

    Parameters
    ----------
    labels : iterable of str
        Participants, without ``sub-``.
    secret : bytes
        At least 16 bytes, the same for all releases of a study.

    Raises
    ------
    ValueError
        The secret is too short, or two people would have the same pseudonym.
    """
    if len(secret) < LEAST_SECRET:
        raise ValueError(f"secret: {len(secret)} bytes; at least {LEAST_SECRET} are needed")
    made = {label: _pseudonym(label, secret) for label in dict.fromkeys(labels)}
    if len(set(made.values())) < len(made):
        raise ValueError("secret: two people have the same pseudonym; make another secret")
    return made


def without_names(text: str, known: Mapping[str, str]) -> str:
    """Text with pseudonyms in place of labels, and names of files without their folders.

    Parameters
    ----------
    text : str
    known : mapping of str to str
        Pseudonym by label; a label that is not known becomes ``sub-n/a``.
    """
    plain = PLACE.sub(lambda found: found.group(1), text)
    return PERSON.sub(lambda found: f"sub-{known.get(found.group(1), 'n/a')}", plain)


def _pseudonym(label: str, secret: bytes) -> str:
    digest = hmac.new(secret, label.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode("ascii")[:N_SIGNS]
