"""How to quantize, as asked for by name; a name that nothing answers to is an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgeresnet.core.errors import UsageError
from edgeresnet.core.lint import lint_for, raise_on_errors
from edgeresnet.core.recipe import Method, Recipe, load_recipe
from edgeresnet.core.schema import nearest
from edgeresnet.core.target import Scheme, load_target

if TYPE_CHECKING:
    import onnx

K = TypeVar("K", Method, Scheme)


def scheme_of(target: str | None, scheme: str | None) -> Scheme:
    """The scheme that was named, else the target's, else ``u8-affine``."""
    chosen = Scheme.U8_AFFINE if target is None else load_target(target).scheme
    if scheme is not None:
        chosen = _known(Scheme, scheme, "--scheme")
    if chosen is Scheme.FLOAT:
        raise UsageError(
            f"{target or scheme} runs float graphs: nothing to quantize",
            hint="compile the graph that convert wrote, or pass --scheme u8-affine",
        )
    return chosen


def weight_bits_of(target: str | None) -> int:
    """Bits of the weights that the target's instructions multiply without saturating."""
    return 8 if target is None else load_target(target).weight_bits


def check_operators(target: str | None, model: onnx.ModelProto, path: Path) -> None:
    """ModelError, before the work, for what the target builds no engine of."""
    if target is not None:
        profile = load_target(target)
        raise_on_errors(lint_for(model, profile.backend), path, profile.name)


def recipe_of(name: str, samples: int | None, method: str | None) -> Recipe:
    """The recipe, with what the options say in place of its own."""
    changes: dict[str, object] = {}
    if samples is not None:
        if samples < 1:
            raise UsageError(f"--samples {samples}: at least 1 is needed")
        changes["samples"] = samples
    if method is not None:
        changes["method"] = _known(Method, method, "--method")
    return load_recipe(name).model_copy(update=changes)


def check_float_nodes(recipe: Recipe, model: onnx.ModelProto) -> None:
    """UsageError for a node that the recipe leaves in float and the graph does not have."""
    names = [node.name for node in model.graph.node]
    for name in recipe.float_nodes:
        if name not in names:
            raise UsageError(
                f"recipe {recipe.name}: float_nodes: the graph has no node {name!r}",
                hint=nearest(name, names)[:120],
            )


def _known(kind: type[K], name: str, option: str) -> K:
    try:
        return kind(name)
    except ValueError as error:
        hint = nearest(name, [member.value for member in kind])
        raise UsageError(f"{option}: no {name!r}", hint=hint) from error
