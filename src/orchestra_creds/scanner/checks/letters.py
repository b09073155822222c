"""How much likelier a value is drawn by chance than written by a person, by its pairs of neighboring letters.

The table holds, for each pair of 54 symbols (a to z, A to Z, a digit, one of `_-./`), the binary logarithm of its probability in values
drawn from the usual alphabets (base62, base64, hex, base32, lower or upper case with digits, printable signs), divided by that in 190,000
words and identifiers of public source code (Python's and Node's libraries, C headers, Google's command-line client, manual pages). One
character is a quarter of a bit; `W` is nothing. A hump in the middle of a word, a `qz`, a digit between letters speak for chance.
"""

from itertools import pairwise

_SCALE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz"
_ZERO = 22
_SIZE = 54
_JOINT, _SIGN = 53, 54
_SIGN_BITS = 0.75
"""Bits of each pair with a sign that no identifier has."""

_TABLE = (
    "iWQSe6QeSe0KNMiQiKNIU220Y8iiiidgiiiiieiiigiieiiiiiiii0"
    "N6Z4Qa6eNO8I22M2iSQYK6biQcdi8ei8ig6idabig6i84aigiiii7S"
    "PaWaMafLSiMO0cI4cOXLUaecUiag8cecii8i8cddeaib8ciiiiiiiV"
    "O48UI84aK8aT36Q3iWR0S8ccXi250YY3e64i663722g2YZ859iidgM"
    "U7SS2YYc6ibMTL5UWIKM600QYh392536cc4ie88864i404aaciiiiQ"
    "Re96ST8eHiiQ90K1iPWUQaeaYia4eeeiii0ii8aecfiebiiiiiiieK"
    "Wb3bGcWSOiiOXQP9eQPWUbcg64Y73846cg0ie875e6e426gcfiiiiP"
    "Jca8HegiMia2Z5K6iSYOWggiYi0a2646ec8ig98d666004bgeiiicQ"
    "TVOSSURifi8PSIMTcUNM2WiZiWeiiiiiiiiiiiiiiiiiiiiiiiiii4"
    "Pa50EebgVe8b5cNYecIeQcTgegeeceeeeeeeeeeeeeceeeeeee2ecS"
    "Tc22F4Y6Lie06Y2444R4YeYg5iY70306654ic588864204cacigigK"
    "O28SIL69Ki7Oa8M2i8SSR3eiVi4a8a7acgaii9ece8ic78beiiiiiS"
    "IU30GcfiPi2VS2OMiaT0W7iiYgbb888aig9dic8aa4ia48aagiiiiS"
    "OaOMMTMcSd026WS2g8MKWYdi5iab6968ee6iiacaa7i446eeeiiihR"
    "XWRPa1Ud05WQPISQiKSSQYU29eeiacggiiigfdeifgih8giiiiiiiY"
    "KZ0YI680Ri4O58MQcMXMUe8iQgaiacaaiiciiaddeci9achiiiiiiU"
    "ecc8giigciiO7agge5X6Cb3iiihg8hcghcYgga8bchggceggaghhiU"
    "M6UYH6UgMiYXVWM1iSOQWVaiSiae6a6bgi8iieace6i838ifgiiiiS"
    "UhT9I65UOiSX65SS56OIUc4iZi963988cg8ig8ca94i246ecaiiiiO"
    "NaY4I5eOKii229O0iOSUVc88Qg482746ec2ib64884i210c6ciiifO"
    "URUUKUYiSigNOK2QiMOMeii9igiiiiiiiiiiiiiiiiiiiiiiiiii8c"
    "Hc4eEa9iIii85aV6ia489a6caidifceiigiieiiiffifiiifiiii1Y"
    "L60XN65SKia08OL8iMRXdcWiei666848ba8ci87ecaf806cc6eihiP"
    "0eO6N6i8Tii60d8Mid4Icgi2UiQTUY2Mifaii7cb69i85agehiiiWQ"
    "V5Y0Y2Wi0iiSVS2Gi6QObe2ii40VY203480ec2402UdWYY46aiiegM"
    "O858C295Ogh00aQ4h7166aahY1fbfea7fecfecbcf8ffffegef2egU"
    "i2QVibY47i0U7WiYiWVVW86ebgWSOQWXSgV26OQSiW4QPOVU3Y4eY2"
    "Mia9ZgciOihUeaQgeYciPihiSeOUQURVbiOX6Q46Y57YX2RihiXaUY"
    "QiiiXgeRaiiQaiIciS8a0iei5iQWUWOWiSWgUVSeO02SROYea10iZ0"
    "QggiIiieOcgii8Tii26iZiii4iRSWUKU24Qg4047U280V2Wdci1iWQ"
    "9ie6ifdiiii21Qih6Q7ei2iQiiSXRQVU0e4iaWWN2XYKOR708TYi0Q"
    "TiiiWiiiKiiUhaQi5SeiUiiiigOTSSPPgaOiiSaUQ8iZ11Y7hi1iVW"
    "Yg4gJige0eiWgaWieO280iiic6W0Y4Kc2YTieJ2TU48SRY2bage4hO"
    "KggeMgggUgce2gQcgb4S0geb0gGaY2M8dcSe42VcN8iS3OYebg9bfT"
    "0i6Qg70iiiigWKa9igXWhiiiiiSSRPUUUi6iaSSJMS2VSQdYeYiYi0"
    "M858Y887X85788O646K8T8S548MO43K6aaWa2325SW7aKaS7099ai2"
    "ZeaeGee4Qe88252eecee5e4eccVaL0G324Oge42U23a2T2R82egeiR"
    "WgghOiihMiiiiiQiii8e97iiifQ41UM3Y6MieSaaO092TSU6ai0diM"
    "KgfeLi4iTifigiOiih6cVdgi0iMY3YKYeiQicWWaRMbaR2Yaig8ieQ"
    "OiiiVi0ibiiiiiOiiiaiWiiiiiOaRQORMcSi0082Q4g5NMW0ii8i2S"
    "fS4ehWeiiigacXhOiUb6046iiiXXOQ9XXeU8WSSKWPiLQSS2W7egiS"
    "MgiiVii40ibYiiL6iK6bW6iiSiQ904MWa0ViSU50PU6OWQY8aiYiiR"
    "42W203S0ab878a64abW0Ga878aM0Y5SU9dW46US4caQW2dI6dd25eU"
    "UiiiGidg6iiiiiU9iiei0ieiiiO6Y0K6YhOi4TUYOWdSSQY0aiViiS"
    "0iVgKii0Si86a4WWbiiMU6ciWiUaV6P64VQh4N4TXU8ZLMWa89198S"
    "SiiiQiiYViieiiReiQei2iaiNiO804L0fSOihU6cQWiOWTVcaURgcQ"
    "feaiihbh4ihecLiQiUS2hihihiWTWWOTYiQifNSM8QiMON5gi6ifi7"
    "GebgKcceQggegg0Zeeeg7ggecgM45eG96iSia828WSg548fge49i4U"
    "Kcc8QaaQHddaa6NccMW8acccadM60YU48YOe92aQQ4eRS28f68efiU"
    "cf7cccbd9ffdYgaceda9cfffff0aWYU2a8Vh74YX4RccWKbceQ09SL"
    "0eeeYdbe2beede2dddcd8bbeceW0PcY66fVggYWS4GY6QO88Yg2ceK"
    "W77aSa97S99Y97Q999V76959aaW06bIcb8QbbSZ7Y8bb484bbb72SR"
    "504452ci6iiacecaic8cciiLiiOOOONNgh9igaihccie6dcccgiiUO"
    "OSMQQPRUP2YQQSSO6PLOUTV369WZSXYY02Xe6ZWZYWdXSW0064ii9W"
)

_BITS = tuple(
    (level - _ZERO) / 4 for level in _TABLE.encode().translate(bytes.maketrans(_SCALE, bytes(range(len(_SCALE)))))
)
_SYMBOLS = bytes(
    byte - 97
    if 97 <= byte <= 122
    else byte - 39
    if 65 <= byte <= 90
    else 52
    if 48 <= byte <= 57
    else _JOINT
    if byte in b"_-./"
    else _SIGN
    for byte in range(256)
)


def chance(value: bytes) -> float:
    """Return the bits of evidence that `value` is drawn by chance; below 0, it reads like a name or words."""
    total = 0.0
    for left, right in pairwise(value.translate(_SYMBOLS)):
        total += _SIGN_BITS if _SIGN in {left, right} else _BITS[left * _SIZE + right]
    return total
