"""Keys and lookup lists as variables of one session, so that no SQL text, and so no error text or log, holds a key.

What belongs here: deriving one key per pseudonym domain and binding it. What does not: what is hashed with it (pseudonyms.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from synth_assets.errors import withhold_values
from synth_assets.masking.drawing import DRAWS, Drawing, DrawnCodes, Later, one_draw
from synth_assets.masking.ff1 import FF1
from synth_assets.masking.forms import Form
from synth_assets.masking.prf import Hexadecimal, Numbers, Prf
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.engine import Session

DOMAIN_KEY_DIGITS = 32


@ibis.udf.scalar.builtin(name="getvariable", signature=((dt.string,), dt.string))  # type: ignore[untyped-decorator]
def _text_variable(variable: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="getvariable", signature=((dt.string,), dt.Array(dt.string)))  # type: ignore[untyped-decorator]
def _list_variable(variable: str) -> list[str]: ...  # type: ignore[empty-body]


Function = Callable[..., ir.Value]


class WordLists:
    """Lookup lists inside one session.

    Args:
        session: The open engine session; the variables live and end with it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bound: dict[str, str] = {}

    def words(self, name: str, values: Sequence[str]) -> ir.ArrayValue:
        """A lookup list as an expression; bound once per name."""
        name = f"list {name}"
        if name not in self._bound:
            self._bind(name, values)
        return _list_variable(self._bound[name])

    def _bind(self, name: str, value: str | Sequence[str]) -> None:
        with withhold_values("binding a masking key"):
            self._bound[name] = self._session.bind(value)


class KeyRing(WordLists):
    """The keys of one release domain, and lookup lists, inside one session.

    Args:
        session: The open engine session.
        key: Key of the release domain, see `release_key`.
    """

    def __init__(self, session: Session, key: SecretKey) -> None:
        super().__init__(session)
        self._key = key
        self._functions: dict[str, Function] = {}
        self._later: Mapping[tuple[str, str], Later] = {}

    def key(self, domain: str) -> ir.StringScalar:
        """The key of a pseudonym domain as an expression: 32 hex digits, always that long."""
        name = f"key {domain}"
        if name not in self._bound:
            self._bind(name, domain_key(self._key, domain))
        return _text_variable(self._bound[name])

    def cipher(self, domain: str, draw: int = 0) -> FF1:
        """The keyed permutation of a pseudonym domain, another one for each later draw."""
        return FF1(self._key.derive(f"domain/{domain}/ff1/{draw}").value)

    def pseudonyms(self, domain: str) -> Function:
        """32 hex digits per text: the keyed random function of a pseudonym domain."""
        return self.function(
            f"hex {domain}", lambda: Hexadecimal(text_function(self._key, domain)), ["string"], "string"
        )

    def numbers(self, domain: str) -> Function:
        """A whole number of 60 bits per text; it has a key of its own, so it tells nothing of the domain's pseudonyms."""
        prf = Prf(self._key.derive(f"domain/{domain}/number").value)
        return self.function(f"number {domain}", lambda: Numbers(prf), ["string"], "int64")

    def function(
        self, name: str, make: Callable[[], Callable[..., pa.Array]], arguments: Sequence[str], returns: str
    ) -> Function:
        """A function over Arrow batches, given to the engine once per name (`Session.function`)."""
        if name not in self._functions:
            self._functions[name] = self._session.function(make(), arguments, returns)
        return self._functions[name]

    def settle(self, later: Mapping[tuple[str, str], Later]) -> None:
        """Say which values of which (domain, form) get a later draw (`unique.draw_again`), before pseudonyms are made."""
        self._later = later

    def form(self, form: Form, domain: str) -> Function:
        """Pseudonyms of one form: no two values of the domain have the same, and none has that of a real identifier."""

        def make() -> Drawing:
            later = self._later.get((domain, form.name), Later.nobody())
            return Drawing(form, [self.cipher(domain, draw) for draw in range(DRAWS if len(later.codes) else 1)], later)

        return self.function(f"form {form.name} {domain}", make, ["string"], "string")

    def draw(self, form: Form, domain: str, draw: int) -> Function:
        """The pseudonyms of one draw, whatever they meet."""
        name = f"draw {draw} {form.name} {domain}"
        return self.function(name, lambda: one_draw(form, self.cipher(domain, draw)), ["string"], "string")

    def drawn_codes(self, form: Form, domain: str, draw: int) -> Function:
        """The numbers of the pseudonyms of one draw (`codes.codes`)."""
        name = f"drawn codes {draw} {form.name} {domain}"
        return self.function(name, lambda: DrawnCodes(form, self.cipher(domain, draw)), ["string"], "int64")


def release_key(key: SecretKey, release_domain: str) -> SecretKey:
    """The key of one release domain; releases of different domains cannot be linked by their pseudonyms."""
    return key.derive(f"masking/{release_domain}")


def text_function(key: SecretKey, domain: str) -> Prf:
    """The keyed random function of a pseudonym domain below a release key."""
    return Prf(key.derive(f"domain/{domain}/text").value)


def domain_key(key: SecretKey, domain: str) -> str:
    """The key of a pseudonym domain below a release key: 128 bits as 32 hex digits.

    With values of up to 23 bytes it fits one block of SHA-256, which halves the cost of a hash.
    """
    return key.derive(f"domain/{domain}").value.hex()[:DOMAIN_KEY_DIGITS]
