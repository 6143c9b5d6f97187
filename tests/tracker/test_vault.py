"""The vault: what is sealed opens in its place and nowhere else, and not when it was touched."""

import base64
import os
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker import ids, vault
from tracker.vault import Keyring, Tampered, UnknownKey, VaultError, WeakKey, WrappedKey

# Raise it for a longer look: VAULT_ENCRYPTIONS=1000000 python -m pytest -k one_nonce
ENCRYPTIONS = int(os.environ.get("VAULT_ENCRYPTIONS", "100000"))
IV = slice(0, 16)

ALICE, BOB, ROW, OTHER_ROW = (ids.new_id() for _ in range(4))
KEY, OTHER_KEY = vault.new_data_key(), vault.new_data_key()
PLACE = {"data_key": KEY, "user_id": ALICE, "row_id": ROW, "field": "api_secret"}
SECRET = "correct horse battery staple"


def seal(text: str = SECRET, **place: object) -> bytes:
    return vault.seal(text, **PLACE | place)


def unseal(ciphertext: bytes, **place: object) -> str:
    return vault.unseal(ciphertext, **PLACE | place)


@given(st.text(max_size=300))
def test_what_is_sealed_opens_in_its_place(text):
    """S21: any text that UTF-8 can write, the empty one too."""
    text = text.encode(errors="ignore").decode()
    assert unseal(seal(text)) == text


@pytest.mark.parametrize(
    "elsewhere",
    [{"user_id": BOB}, {"row_id": OTHER_ROW}, {"field": "api_key"}, {"data_key": OTHER_KEY},
     {"user_id": ROW, "row_id": ALICE}],
    ids=["another user", "another row", "another field", "another key", "user and row swapped"],
)  # fmt: skip
def test_a_ciphertext_that_was_moved_does_not_open(elsewhere):
    """S21"""
    with pytest.raises(Tampered):
        unseal(seal(), **elsewhere)
    assert unseal(seal(**elsewhere), **elsewhere) == SECRET


def test_places_whose_names_run_together_are_different_places():
    """S21: the parts of a place are separated, so one cannot borrow from the next."""
    with pytest.raises(Tampered):
        unseal(seal(field="a"), field="a\0")
    with pytest.raises(Tampered):
        unseal(seal(field="api_key"), field="api_ke")


def test_each_tampered_byte_is_noticed():
    """S24: every byte of the ciphertext, every one of its bits."""
    sealed = seal()
    for position in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[position] ^= 1 << bit
            with pytest.raises(Tampered):
                unseal(bytes(changed))


def test_a_ciphertext_that_is_cut_or_longer_is_noticed():
    """S24"""
    sealed = seal()
    for length in range(len(sealed)):
        with pytest.raises(Tampered):
            unseal(sealed[:length])
    for longer in (sealed + b"\0", b"\0" + sealed, sealed + sealed):
        with pytest.raises(Tampered):
            unseal(longer)


@given(st.binary(max_size=400))
def test_garbage_does_not_open(garbage):
    """S24"""
    with pytest.raises(Tampered):
        unseal(garbage)


@given(first=st.binary(min_size=1, max_size=64), second=st.binary(min_size=1, max_size=64))
def test_parts_of_two_ciphertexts_do_not_make_a_third(first, second):
    """S24: cut and glued at any point."""
    one, two = seal(first.hex()), seal(second.hex())
    for cut in (1, 9, 25, 32, len(one) - 32):
        glued = one[:cut] + two[cut:]
        if glued not in (one, two):
            with pytest.raises(Tampered):
                unseal(glued)


def test_nothing_of_the_plaintext_or_the_key_is_in_the_ciphertext():
    """S21"""
    sealed = seal()
    assert SECRET.encode() not in sealed
    assert KEY not in sealed


def test_no_two_encryptions_share_one_nonce():
    """S24: the same text in the same place, so nothing but the nonce can differ."""
    header = len(b"\x80") + 8  # version and time of the token
    seen = {seal("")[header:][IV] for _ in range(ENCRYPTIONS)}
    assert len(seen) == ENCRYPTIONS


# --- master keys --------------------------------------------------------------------------------
RAW = bytes(range(32))
ANOTHER = bytes(range(100, 132))
URL_SAFE = b"\xfb\xff" * 4 + bytes(range(24))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (RAW.hex(), (RAW,)),
        (RAW.hex().upper(), (RAW,)),
        (base64.b64encode(RAW).decode(), (RAW,)),
        (base64.b64encode(URL_SAFE).decode(), (URL_SAFE,)),
        (base64.urlsafe_b64encode(URL_SAFE).decode(), (URL_SAFE,)),
        (f"{RAW.hex()},{ANOTHER.hex()}", (RAW, ANOTHER)),
        (f" {RAW.hex()} ,\n{base64.b64encode(ANOTHER).decode()} , ", (RAW, ANOTHER)),
    ],
    ids=["hex", "upper-case hex", "base64", "base64 with + and /", "url-safe base64", "two",
         "two, mixed, with space"],
)  # fmt: skip
def test_keys_are_read_in_the_usual_spellings(text, keys):
    assert Keyring.parse(text).keys == keys


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no key"),
        (" , ,", "holds no key"),
        (RAW.hex()[:-2], "key 1 of ENCRYPTION_KEY is not 32 bytes"),
        (RAW.hex() + "00", "key 1 of ENCRYPTION_KEY is not 32 bytes"),
        (base64.b64encode(RAW[:31]).decode(), "key 1 of ENCRYPTION_KEY is not 32 bytes"),
        (base64.b64encode(RAW + b"x").decode(), "key 1 of ENCRYPTION_KEY is not 32 bytes"),
        ("not a key at all, of course", "key 1 of ENCRYPTION_KEY is not 32 bytes"),
        (f"{RAW.hex()},nonsense", "key 2 of ENCRYPTION_KEY is not 32 bytes"),
        ("0" * 64, "key 1 of ENCRYPTION_KEY is not random"),
        (f"{RAW.hex()},{'ab' * 32}", "key 2 of ENCRYPTION_KEY is not random"),
        (base64.b64encode(b"\x01\x02\x03\x04" * 8).decode(), "key 1 of ENCRYPTION_KEY is not rand"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_by_their_position(text, sentence):
    with pytest.raises(WeakKey, match=sentence) as refused:
        Keyring.parse(text)
    for part in text.split(","):
        if part.strip():
            assert part.strip() not in str(refused.value)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=100))
def test_any_text_is_either_keys_or_refused_without_repeating_it(text):
    try:
        keyring = Keyring.parse(text)
    except WeakKey as refused:
        assert len(text) < 8 or text not in str(refused)
    else:
        assert {len(key) for key in keyring.keys} == {32}


def test_a_keyring_does_not_show_its_keys():
    """S26"""
    keyring = Keyring((RAW,))
    wrapped = keyring.wrap(KEY, user_id=ALICE)
    for text in (repr(keyring), str(keyring), repr(wrapped), repr(UnknownKey("no master key"))):
        assert RAW.hex() not in text
        assert repr(RAW)[2:-1] not in text
        assert repr(wrapped.ciphertext)[2:-1] not in text


def test_a_key_id_tells_nothing_about_its_key():
    first = vault.key_id(RAW)
    assert len(first) == 16
    assert first not in RAW.hex()
    assert len({vault.key_id(secrets.token_bytes(32)) for _ in range(1000)}) == 1000


# --- wrapping data keys -------------------------------------------------------------------------
def test_a_data_key_is_wrapped_by_the_first_key_and_opened_by_any():
    """S21, S22"""
    old, new = Keyring((RAW,)), Keyring((ANOTHER, RAW))
    wrapped = old.wrap(KEY, user_id=ALICE)
    assert new.unwrap(wrapped, user_id=ALICE) == KEY
    again = new.wrap(KEY, user_id=ALICE)
    assert again.key_id == new.current_id != wrapped.key_id
    assert KEY not in again.ciphertext


def test_a_wrapped_key_opens_for_its_own_user_only():
    """S21"""
    keyring = Keyring((RAW,))
    with pytest.raises(Tampered):
        keyring.unwrap(keyring.wrap(KEY, user_id=ALICE), user_id=BOB)


def test_a_wrapped_key_is_no_field_and_a_field_is_no_wrapped_key():
    """S21: each purpose has keys of its own, even under the same bytes."""
    keyring = Keyring((KEY,))
    with pytest.raises(Tampered):
        unseal(keyring.wrap(OTHER_KEY, user_id=ALICE).ciphertext)
    with pytest.raises(Tampered):
        keyring.unwrap(WrappedKey(keyring.current_id, seal()), user_id=ALICE)


def test_a_key_id_that_is_not_listed_is_named():
    """S22"""
    wrapped = Keyring((RAW,)).wrap(KEY, user_id=ALICE)
    with pytest.raises(UnknownKey, match=wrapped.key_id):
        Keyring((ANOTHER,)).unwrap(wrapped, user_id=ALICE)


def test_another_key_under_the_same_id_does_not_open():
    """S24: the id is a name, not a proof."""
    wrapped = Keyring((RAW,)).wrap(KEY, user_id=ALICE)
    forged = WrappedKey(vault.key_id(ANOTHER), wrapped.ciphertext)
    with pytest.raises(Tampered):
        Keyring((ANOTHER,)).unwrap(forged, user_id=ALICE)


@pytest.mark.parametrize("position", range(0, 121, 5))
def test_each_tampered_byte_of_a_wrapped_key_is_noticed(position):
    """S24"""
    keyring = Keyring((RAW,))
    wrapped = keyring.wrap(KEY, user_id=ALICE)
    changed = bytearray(wrapped.ciphertext)
    changed[position % len(changed)] ^= 1
    with pytest.raises(VaultError):
        keyring.unwrap(WrappedKey(wrapped.key_id, bytes(changed)), user_id=ALICE)
