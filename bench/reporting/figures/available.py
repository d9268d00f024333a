"""Which variants have the pictures that a figure needs, and the sentences about the others."""

from dataclasses import dataclass

from bench.errors import NotApplicable
from bench.record.pictures import Pictures
from bench.reporting.figures.view import Variant, View


@dataclass(frozen=True)
class Pictured:
    """What a figure of codes can show.

    Attributes:
        pictures: The variants shown, each with its pictures.
        notes: Who was left out, and why; whose pictures these are.
    """

    pictures: dict[Variant, Pictures]
    notes: tuple[str, ...]


def pictured(view: View, wanted: tuple[str, ...], most: int, *, encoded: bool = False) -> Pictured:
    """Return the variants that have all of these arrays; or any, where nobody has all.

    Args:
        view: The record.
        wanted: Names of arrays.
        most: Variants that fit.
        encoded: Whether real images were encoded for what is shown.

    Returns:
        Those variants, and what the caption says of the others.

    Raises:
        NotApplicable: If there are none; says why.
    """
    able: dict[Variant, Pictures] = {}
    unable: dict[str, list[str]] = {}
    for variant in view.variants:
        found = view.pictures(variant)
        if any(name in found.arrays for name in wanted):
            able[variant] = found
        else:
            unable.setdefault(_reason(view, variant, found, wanted), []).append(variant.label)
    why = [f"{reason}: {', '.join(labels)}" for reason, labels in unable.items()]
    if not able:
        raise NotApplicable("; ".join(why))
    whole = [v for v, found in able.items() if all(name in found.arrays for name in wanted)]
    if whole and len(whole) < len(able) and not view.choice.variants:
        partly = ", ".join(variant.label for variant in able if variant not in whole)
        why.append(f"they can make a part of it only (--variant NAME shows that part): {partly}")
        able = {variant: able[variant] for variant in whole}
    shown, notes = view.fitting(list(able), most)
    notes += [f"Not shown, since {line}." for line in why]
    told = [v.label for v in shown if able[v].arrays.get("label_given", False)]
    if told and encoded:
        notes.append(
            "Told the true label of real images, without which they cannot encode: "
            f"{', '.join(told)}."
        )
    return Pictured({v: able[v] for v in shown}, (*notes, view.whose(shown)))


def _reason(view: View, variant: Variant, found: Pictures, wanted: tuple[str, ...]) -> str:
    """Return why a variant has none of the arrays."""
    known = [found.missing[name] for name in wanted if name in found.missing]
    if known:
        return known[0]
    if view.run_of(variant) is None:
        return f"no run of seed {view.choice.seed} is finished"
    return "no pictures were made and no weights are there to make them"
