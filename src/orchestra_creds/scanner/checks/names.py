"""What a name says about its value: a password, a secret, or neither.

A name is split into words (`db_password`, `dbPassword`, `db-password`, `dbpassword`), and each word has roles. The last word that
names a credential decides, together with the words directly before it and the last word of all. Nothing here is a substring:
`NO_REPLY_PASSWORD` names a password, `no_password` names none.
"""

import re
from enum import IntEnum
from functools import lru_cache

KEPT = 4096
"""Names of which the class is remembered: the same ones come again and again."""


class NameClass(IntEnum):
    """How much a name says about its value, weakest first."""

    OTHER = 0  # no credential, a public one, or a description of one
    SECRET = 1  # a token, a secret, a key with a qualifier
    STRONG_SECRET = 2  # the same, so named that even a UUID is one: `api_key`, `client_secret`
    PASSWORD = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PASSWORDS = _words(
    "password passwords passwd passwort passwoerter passphrase passcode pass pwd pwds pw pswd psw passw passwrd kennwort senha contrasena contraseña"
    " contrase clave motdepasse mdp wachtwoord haslo hasło heslo lozinka parola salasana losenord lösenord adgangskode requirepass"
    " masterauth bindpw rootpw storepass keypass"
)
_SECRETS = _words(
    "secret secrets token tokens credential credentials jwt apikey apikeys secretkey accesskey authtoken bearer skey"
)
_STRONG = _words("secret secrets apikey apikeys secretkey")
_KEYS = _words("key keys")
_QUALIFIERS = _words(
    "api access auth authentication authorization private encryption encrypt encrypted decryption decrypt signing sign signature master account shared"
    " service session app application admin license secret webhook hmac server client deploy deployer subscription insert ingest write storage jwt"
    " crypto aes des security cookie management integration root user agent functions host producer consumer"
)
"""What makes a key a secret; a key of anything else is a name in a table, a map or a document."""

_STRONG_QUALIFIERS = _words("api access auth secret subscription account")

_NEVER = _words(
    "csrf xsrf authenticity checksum checksums digest digests fingerprint thumbprint tokenize tokenizer tokenized tokenization placeholder example"
    " regex regexp translation translations i18n l10n integrity sha sha1 sha256 sha384 sha512 md5 srcrev hashed publishable anon mock fake dummy"
)
"""Words that leave no credential, wherever they stand."""

_NOT_BEFORE = _words(
    "no non is has had have max min num number count total show hide enable disable allow require requires required needs forgot forgotten lost reset"
    " validate validates validated verify verifies check checks get gets fetch read reads load loads find parse parses hash hashes compare confirm confirmed"
    " page next previous prev continuation sync change update import cursor resume idempotency primary foreign sort cache partition unique"
    " composite column lookup public client nonce delimiter lexer syntax css design stop eos bos pad cls sep mask unk special create"
    " generate generates encode decode encodes decodes match matches wrong invalid bad incorrect missing expired tokens"
)
"""Words that directly before a credential make something else of it."""

_LAST = _words(
    "hash hashes hasher file files filename path paths dir directory url uri urls href name names field fields label labels column columns header headers prefix"
    " suffix length len size policy policies pattern hint hints message messages msg error errors type types kind format version reset confirm confirmation expires expiry"
    " expiration expire exp ttl timeout limit limits nonce keyword title help description desc locale encoding charset class widget validator validators validation"
    " status state enabled enable required mode ref refs reference id ids idx index algorithm alg algo cipher provider providers manager mgr store backend strategy scope scopes rule"
    " rules selector text input form view page pages button icon score strength info str list map set dict json xml arn encryption encoder decoder"
    " commit revision rev mint program address endpoint host hostname port region time date timestamp created updated age count counts attempts mandatory"
    " prompt stdin env variable var param parameter parameters option options arg args flag method function func handler callback service"
    " source sources response request requests factory builder resolver filter interceptor exception generator parser"
    " lexer position start end line lines length usage used changed change property properties event events action actions schema model table entity"
    " test tests regex constraint placeholder visibility visible toggle less free based aware dependent rotation template templates"
    " uuid guid sum checksum digest md5 sha1 sha256 sha512 fingerprint thumbprint"
)
"""Last words that describe a credential instead of holding it."""

_BEFORE_GLUED = _words(
    "db my user usr root admin adm bind smtp mail email ftp sftp ssh ldap sql mysql pg postgres oracle redis mongo http https proxy web app api auth login"
    " server host client old new master require default key store trust keystore truststore cert ssl tls wifi wlan wpa ap sudo su vpn rpc ws"
    " svc service system sys site site test dev prod stage jdbc odbc dsn encrypt"
)
"""What stands before `pass`, `pw` or `pwd` in one word."""

_GLUED = re.compile(
    r"(.*?)(password|passwd|passwort|passphrase|kennwort|pass|pwd|pw|secretkey|apikey|accesskey|authkey|privatekey|secret|token|credentials?)(s?)"
)
_GLUED_ENDS = tuple(
    end + plural
    for end in "password passwd passwort passphrase kennwort pass pwd pw key secret token credential".split()  # noqa: SIM905
    for plural in ("", "s")
)
_IN_CODE = re.compile(rb"(?i)[0-9]pw")
"""Two letters behind a digit, as in the names of chunks and hashes."""
_SHORT = _words("pass pwd pw")
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z\x80-\xff]+|[A-Z]+|[0-9]+")


@lru_cache(KEPT)
def split_name(name: bytes) -> tuple[str, ...]:
    """The words of a name in lower case: `myDBPassword_2` is `my db password 2`."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = name.decode("latin-1")
    if not text.isascii():
        text = "".join(letter if letter < "\x80" else _PLAIN.get(letter, "\xe0") for letter in text)
    words: list[str] = []
    for word in _SPLIT.findall(text):
        words += _unglue(word.lower())
    return tuple(words)


_PLAIN = {"ñ": "n", "ö": "o", "ł": "l", "é": "e", "è": "e", "ß": "ss", "Ñ": "N", "Ö": "O"}


@lru_cache(KEPT)
def _unglue(word: str) -> tuple[str, ...]:
    """`dbpassword` is `db password`; a word that only ends like one, such as `compass`, stays whole."""
    if not word.endswith(_GLUED_ENDS) or word in _PASSWORDS or word in _SECRETS or word in _LAST or word in _NEVER:
        return (word,)
    found = _GLUED.fullmatch(word)
    if found is None or not found[1]:
        return (word,)
    if found[2] in _SHORT and found[1] not in _BEFORE_GLUED:
        return (word,)
    return found[1], found[2] + found[3]


@lru_cache(KEPT)
def classify_name(name: bytes) -> NameClass:
    """What a value of this name is; `name` may hold the names around it, joined by dots, dashes or slashes."""
    words = [word for word in split_name(name) if not word.isdigit()]
    if not words or not _NEVER.isdisjoint(words) or words[-1] in _LAST:
        return NameClass.OTHER
    for at in range(len(words) - 1, -1, -1):
        word = words[at]
        if word in _PASSWORDS and not (word == "pw" and _IN_CODE.search(name)):
            return NameClass.OTHER if at and words[at - 1] in _NOT_BEFORE else NameClass.PASSWORD
        if word in _SECRETS or (word in _KEYS and at and (words[at - 1] in _QUALIFIERS or words[at - 1] in _SECRETS)):
            return _secret_class(words, at)
    return NameClass.OTHER


def _secret_class(words: list[str], at: int) -> NameClass:
    first = at - 1 if words[at] in _KEYS else at
    while (
        first
        and (words[first - 1] in _SECRETS or words[first - 1] in _QUALIFIERS)
        and words[first - 1] not in _NOT_BEFORE
    ):
        first -= 1
    if first and words[first - 1] in _NOT_BEFORE and not (words[first - 1] == "client" and words[at] in _STRONG):
        return NameClass.OTHER
    if words[first] == "client" and words[at] in {"token", "tokens"} and at == first + 1:
        return NameClass.OTHER  # it makes a call idempotent
    span = words[first : at + 1]
    strong = not _STRONG.isdisjoint(span) or not _STRONG_QUALIFIERS.isdisjoint(span)
    return NameClass.STRONG_SECRET if strong else NameClass.SECRET
