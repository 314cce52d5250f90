"""An extension of griffe: shows the arguments of functions that take them from settings.

`arguments_from` makes a function's arguments and their documentation when the function is imported, so mkdocstrings
cannot read them from the source.
"""

import inspect
from importlib import import_module
from typing import Any

import griffe

KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
}


class SettingsArguments(griffe.Extension):
    """Replaces the parameters and the docstring by those of the imported function."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Called for each function that griffe has read."""
        if not any(str(decorator.value).startswith("arguments_from") for decorator in func.decorators):
            return
        module, _, name = func.path.rpartition(".")
        function = getattr(import_module(module), name)
        func.parameters = griffe.Parameters(*map(_parameter, inspect.signature(function).parameters.values()))
        func.docstring = griffe.Docstring(inspect.getdoc(function) or "", parent=func)


def _parameter(parameter: inspect.Parameter) -> griffe.Parameter:
    default = None if parameter.default is inspect.Parameter.empty else repr(parameter.default)
    annotation = inspect.formatannotation(parameter.annotation)
    return griffe.Parameter(parameter.name, annotation=annotation, kind=KINDS[parameter.kind], default=default)
