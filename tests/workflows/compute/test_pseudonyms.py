"""Names of people that tell nothing without the secret."""

import hashlib
import hmac
from base64 import b32encode

import pytest

from workflows.compute.pseudonyms import pseudonyms, without_names

SECRET = b"0123456789abcdef0123456789abcdef"


def test_a_pseudonym_is_the_beginning_of_an_hmac():
    made = b32encode(hmac.new(SECRET, b"01", hashlib.sha256).digest())[:10].decode()
    assert pseudonyms(["01"], SECRET) == {"01": made}
    assert made.isascii()
    assert made.isalnum()


def test_the_same_person_has_the_same_pseudonym_whoever_else_is_there():
    few, many = pseudonyms(["01", "02"], SECRET), pseudonyms(["03", "02", "01"], SECRET)
    assert few == {label: many[label] for label in few}
    assert len(set(many.values())) == 3


def test_another_secret_makes_other_pseudonyms():
    other = pseudonyms(["01", "02"], SECRET[::-1])
    assert not set(other.values()) & set(pseudonyms(["01", "02"], SECRET).values())


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="secret: 3 bytes"):
        pseudonyms(["01"], b"abc")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("sub-01 and sub-02_ses-pre_T1w", "sub-X and sub-n/a_ses-pre_T1w"),
        ("/Users/ann/my_study/bids/participants.tsv: empty", "participants.tsv: empty"),
        ("file:///Users/ann/x.tsv, 3 mg/ml and/or 1/2", "x.tsv, 3 mg/ml and/or 1/2"),
        ("sub-011", "sub-n/a"),
    ],
)
def test_text_tells_neither_labels_nor_folders(text, plain):
    assert without_names(text, {"01": "X"}) == plain
