"""Dataclasses that cost little to define: `dataclass`, `field` and `replace` as the standard library has them.

A short scan spends a fifth of its time on defining dataclasses: the standard library compiles five functions for each and
loads `inspect` to do so. Here a class costs 30 µs and its `__init__` is compiled when the first object is made. Guarantees:
for what this project uses (keyword options, no inheritance of fields) a class behaves as one of the standard library, to
`dataclasses.fields`, `replace` and `asdict` too, and a type checker sees the standard library's.
"""

from collections.abc import Callable
from operator import attrgetter
from types import MemberDescriptorType

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
    from typing import Any

__all__ = ["dataclass", "field", "replace"]

_NOTHING = object()


class _Field:
    """The options of one field; `default` and `default_factory` are _NOTHING when there is none."""

    __slots__ = ("compare", "default", "default_factory", "init", "repr")

    def __init__(self, default: object, default_factory: object, *, init: bool, repr: bool, compare: bool) -> None:  # noqa: A002
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.compare = compare


def _field(
    *,
    default: object = _NOTHING,
    default_factory: object = _NOTHING,
    init: bool = True,
    repr: bool = True,  # noqa: A002  the standard library's name
    compare: bool = True,
) -> _Field:
    return _Field(default, default_factory, init=init, repr=repr, compare=compare)


def _dataclass(
    *, frozen: bool = False, slots: bool = False, eq: bool = True, order: bool = False
) -> "Callable[[type], type]":
    def define(cls: type) -> type:
        fields: dict[str, _Field] = {}
        for name in cls.__annotations__:
            value = cls.__dict__.get(name, _NOTHING)
            fields[name] = value if isinstance(value, _Field) else _field(default=value)
        cls = _add_slots(cls, fields) if slots else _without_options(cls, fields)
        namespace: dict[str, Any] = {
            "__init__": _first_init(cls, fields, frozen=frozen),
            "__match_args__": tuple(name for name, one in fields.items() if one.init),
            "__dataclass_fields__": _StandardFields(fields),
        }
        if "__repr__" not in cls.__dict__:
            namespace["__repr__"] = _repr_of([name for name, one in fields.items() if one.repr])
        if eq:
            namespace |= _comparisons([name for name, one in fields.items() if one.compare], order=order, frozen=frozen)
        if frozen:
            namespace |= {"__setattr__": _refuse, "__delattr__": _refuse}
        for name, value in namespace.items():
            setattr(cls, name, value)
        return cls

    return define


def _replace(record: object, /, **changes: object) -> object:
    names: tuple[str, ...] = vars(type(record))["__match_args__"]
    return type(record)(**({name: getattr(record, name) for name in names} | changes))


if not TYPE_CHECKING:
    dataclass, field, replace = _dataclass, _field, _replace


def _add_slots(cls: type, fields: dict[str, _Field]) -> type:
    """The same class with a slot for each field."""
    namespace = {name: value for name, value in cls.__dict__.items() if name not in fields}
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    return type(cls)(cls.__name__, cls.__bases__, namespace | {"__slots__": tuple(fields)})


def _without_options(cls: type, fields: dict[str, _Field]) -> type:
    for name, one in fields.items():
        if one.default is not _NOTHING:
            setattr(cls, name, one.default)
        elif name in cls.__dict__:
            delattr(cls, name)
    return cls


def _first_init(cls: type, fields: dict[str, _Field], *, frozen: bool) -> "Callable[..., None]":
    """An `__init__` that replaces itself by the compiled one."""

    def __init__(self: object, *args: object, **kwargs: object) -> None:  # noqa: N807
        init = _compiled_init(cls, fields, frozen=frozen)
        type.__setattr__(cls, "__init__", init)
        init(self, *args, **kwargs)

    return __init__


def _compiled_init(cls: type, fields: dict[str, _Field], *, frozen: bool) -> "Callable[..., None]":
    known: dict[str, Any] = {"_NOTHING": _NOTHING, "_set": object.__setattr__}
    parameters, lines = ["self"], []
    for name, one in fields.items():
        value = name
        if one.default_factory is not _NOTHING:
            known[f"_made_{name}"] = one.default_factory
            value = f"_made_{name}() if {name} is _NOTHING else {name}" if one.init else f"_made_{name}()"
        elif one.default is not _NOTHING:
            known[f"_default_{name}"] = one.default
            value = name if one.init else f"_default_{name}"
        elif not one.init:
            continue
        if one.init:
            default = "" if one.default is _NOTHING else f"=_default_{name}"
            parameters.append(f"{name}{default if one.default_factory is _NOTHING else '=_NOTHING'}")
        if not frozen:
            lines.append(f"self.{name} = {value}")
        elif isinstance(member := cls.__dict__.get(name), MemberDescriptorType):
            known[f"_set_{name}"] = member.__set__
            lines.append(f"_set_{name}(self, {value})")
        else:
            lines.append(f"_set(self, {name!r}, {value})")
    if "__post_init__" in cls.__dict__:
        lines.append("self.__post_init__()")
    body = "".join(f"\n    {line}" for line in lines or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):{body}", known)  # noqa: S102  names of fields, written in our own source
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _repr_of(names: list[str]) -> "Callable[[Any], str]":
    def __repr__(self: object) -> str:  # noqa: N807
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _comparisons(names: list[str], *, order: bool, frozen: bool) -> "dict[str, Any]":
    values: Callable[[object], Any] = attrgetter(*names) if names else lambda _: ()
    made: dict[str, Any] = {"__eq__": _comparison(values, "__eq__"), "__hash__": None}
    if frozen:
        made["__hash__"] = lambda self: hash(values(self))
    if order:
        made |= {name: _comparison(values, name) for name in ("__lt__", "__le__", "__gt__", "__ge__")}
    return made


def _comparison(values: "Callable[[object], Any]", name: str) -> "Callable[[object, object], Any]":
    def compare(self: object, other: object) -> "Any":
        if type(other) is not type(self):
            return NotImplemented
        mine, its = values(self), values(other)
        return mine == its if name == "__eq__" else getattr(mine, name)(its)

    return compare


def _refuse(self: object, name: str, *_value: object) -> None:
    raise AttributeError(f"{type(self).__name__} cannot be changed: {name}")


class _StandardFields:
    """`__dataclass_fields__`: made when the standard library asks for it."""

    def __init__(self, fields: dict[str, _Field]) -> None:
        self._fields = fields

    def __get__(self, record: object, cls: type) -> "dict[str, Any]":
        import dataclasses

        plain = []
        for name, one in self._fields.items():
            options: dict[str, Any] = {"init": one.init, "repr": one.repr, "compare": one.compare}
            if one.default is not _NOTHING:
                options["default"] = one.default
            if one.default_factory is not _NOTHING:
                options["default_factory"] = one.default_factory
            plain.append((name, object, dataclasses.field(**options)))
        standard = dataclasses.make_dataclass(cls.__name__, plain)
        return {one.name: one for one in dataclasses.fields(standard)}
