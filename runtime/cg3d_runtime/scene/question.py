"""Questions reduced to the object that they ask for, as in section 3.4.2 of the paper."""

from __future__ import annotations

import re

from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.templates import normal_name, strip

#: What things are for, and what serves it. Only names that the bundle has are asked.
USES = {
    "sit": ("chair", "sofa", "armchair", "stool", "bench"),
    "rest": ("sofa", "bed", "armchair"),
    "lie": ("bed", "sofa"),
    "sleep": ("bed", "sofa bed", "sofa"),
    "drink": ("cup", "mug", "bottle", "wineglass"),
    "eat": ("table", "plate", "bowl"),
    "write": ("desk", "table", "pencil", "pen"),
    "work": ("desk", "table"),
    "read": ("book", "magazine", "lamp"),
    "throw": ("trash can",),
    "cook": ("stove", "oven", "frying pan", "pot"),
    "wash": ("sink", "washing machine"),
    "watch": ("television", "monitor (computer equipment) computer monitor"),
    "light": ("lamp",),
}

#: Words of questions that name no object.
_EMPTY = frozenset(
    """a about all an and any anything are around at be by can could do does down find for found
    from get give go has have here how i in into is it its located location look me my need of off
    on one onto out over person place please point robot room scene seat see show some someone
    something somewhere that the there these thing things this those to up us use used want was
    we what when where which who will with would you your""".split()
)

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def objects_asked(question: str, bank: TextBank) -> tuple[str, ...]:
    """The names of a bank that a question asks for.

    A name or a phrasing of one stands for itself. Of a question the longest names that occur in
    it are taken ("Where can the coffee table be found?"); where none does, what a verb of use
    asks for ("where can I sit down?": chair, sofa, ...).

    Args:
        question: a name, a phrasing around one, or a question in English.
        bank: the names that may be asked.

    Raises:
        VocabularyError: no name of the bank is in it.
    """
    if not isinstance(question, str) or not question.strip():
        raise VocabularyError(f"a question must be a string with words in it, not {question!r}")
    for name in (normal_name(question), strip(question)):
        if name in bank:
            return (name,)
    words = _WORD.findall(normal_name(question))
    found = _names_in(words, bank)
    if not found:
        uses = [name for word in words for name in USES.get(_stem(word), ())]
        found = [name for name in dict.fromkeys(uses) if name in bank]
    if not found:
        told = [word for word in words if word not in _EMPTY] or words or [question]
        raise VocabularyError(
            f"{question!r} holds no name that this bundle knows "
            f"({bank.suggestion(' '.join(told))}). Ask for one of its names, as it is or in a "
            "question, or use a bundle with a full CLIP text encoder"
        )
    return tuple(found)


def object_of(question: str) -> str:
    """What a question without a known name asks for, to be read by a full text encoder.

    Words that name no object fall away from both ends; "" where nothing is left.

    >>> object_of("Where is the vase with the red flowers?")
    'vase with the red flowers'
    """
    words = _WORD.findall(normal_name(question))
    kept = [i for i, word in enumerate(words) if word not in _EMPTY]
    return " ".join(words[kept[0] : kept[-1] + 1]) if kept else ""


def _names_in(words: list[str], bank: TextBank) -> list[str]:
    found: list[str] = []
    start = 0
    while start < len(words):
        for end in range(min(len(words), start + 5), start, -1):
            piece = words[start:end]
            if len(piece) == 1 and piece[0] in _EMPTY:
                continue
            name = next((n for n in _singulars(" ".join(piece)) if n in bank), None)
            if name is not None:
                found.append(name)
                start = end - 1
                break
        start += 1
    return list(dict.fromkeys(found))


def _singulars(name: str) -> tuple[str, ...]:
    """A name as it is, and as one of them if it ends like a plural."""
    forms = [name]
    if name.endswith("ves"):
        forms += [name[:-3] + "f", name[:-3] + "fe"]
    if name.endswith("es"):
        forms.append(name[:-2])
    if name.endswith("s") and not name.endswith("ss"):
        forms.append(name[:-1])
    return tuple(forms)


def _stem(word: str) -> str:
    for form in (word, word.removesuffix("ing"), word.removesuffix("s")):
        if form in USES:
            return form
    doubled = word.removesuffix("ing")
    if len(doubled) > 2 and doubled[-1] == doubled[-2] and doubled[:-1] in USES:
        return doubled[:-1]
    return doubled + "e" if doubled + "e" in USES else word
